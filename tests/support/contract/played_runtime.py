"""A plugin's runtime of long ago: says what was recorded, and checks that it is told what was recorded.

A test copies this file as ``douane_plugin/_runtime.py`` into a virtual environment that has no other contract. The
recording comes in the plugin's source, as comments below MARK. Whatever the engine does otherwise than it was recorded
is told as a failure of the plugin, whose trace says what it was.
"""

from __future__ import annotations

import json
import mmap
import os
import zlib

MARK = "# recorded:"
READY, RELEASE, PROGRESS, BEGIN = 3, 4, 5, 10
FAILED, LOAD, IMAGE, DATA, HOLE, END = 20, 64, 65, 66, 67, 68
ANSWERS = (16, 17, 18, 19, 20)
JSON_FRAMES = (2, 6, 7, 8, 16, 17, 18, 19, 20)


class Mismatch(Exception):
    """The engine did something else than was recorded."""


def main(channel: int) -> None:
    """Hold the conversation and end."""
    player = Player(channel)
    try:
        player.play()
    except Mismatch as error:
        failure = {"stage": "run", "kind": "Other", "message": str(error), "trace": str(error), "seen": 0}
        player.send(FAILED, json.dumps(failure).encode())
    os._exit(0)


class Player:
    """One conversation."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.load: dict = {}
        self.ring: dict = {}
        self.expected = b""
        self.got = 0
        self.end = None

    def play(self) -> None:
        """Line by line: what the engine says is waited for as late as a runtime could."""
        kind, payload = self.receive()
        if kind != LOAD:
            raise Mismatch(f"the first frame is {kind}")
        self.load = json.loads(payload)
        lines = [line[len(MARK) :] for line in self.load["use"]["source"].splitlines() if line.startswith(MARK)]
        header, frames = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
        self.expected = b"".join(
            bytes(piece["zeros"]) if "zeros" in piece else bytes.fromhex(piece["hex"]) * piece.get("times", 1)
            for piece in header.get("ring", header["image"])
        )
        reach, end = 0, None
        for frame in frames:
            kind, payload = frame["kind"], bytes.fromhex(frame["payload"])
            if frame["from"] == "engine":
                if kind == LOAD:
                    self.check_load(json.loads(payload))
                elif kind == IMAGE:
                    self.check_image(json.loads(payload))
                elif kind in (DATA, HOLE):
                    numbers = _numbers(payload)
                    reach = numbers[0] + numbers[-1]
                elif kind == END:
                    end = _numbers(payload)
                continue
            if kind in (RELEASE, PROGRESS):
                self.hear(_numbers(payload)[0], None)
            elif kind in ANSWERS:
                self.hear(reach, end)
            if kind in JSON_FRAMES and header.get("unknown"):
                payload = json.dumps(
                    {"a_later_key": {"nested": [1, None]}, **json.loads(payload), "another_later_key": None}
                ).encode()
            if kind == ANSWERS[0] and header.get("output") is not None:
                os.close(self.load["output_fd"])
            self.send(kind, payload)
            if kind == BEGIN and header.get("output") is not None:
                output = memoryview(zlib.decompress(bytes.fromhex(header["output"]["zlib"])))
                while output:
                    output = output[os.write(self.load["output_fd"], output) :]

    def check_load(self, recorded: dict) -> None:
        """All that was told then is told now."""
        load = self.load
        low, high = load["levels"]
        same = ("name", "config", "texts")
        keys = [key for key in recorded if key not in load]
        keys += [key for key in same if load.get(key) != recorded[key]]
        if not low <= 1 <= high:
            keys.append("levels")
        if type(load["log_level"]) is not int or load["use"]["attribute"] != recorded["use"]["attribute"]:
            keys.append("log_level or use")
        kinds = {name: grant["kind"] for name, grant in load["grants"].items()}
        if kinds != {name: grant["kind"] for name, grant in recorded["grants"].items()}:
            keys.append("grants")
        numbers = [ring[key] for ring in load["rings"] for key in ("fd", "slot_bytes")]
        if not numbers or any(type(each) is not int for each in numbers):
            keys.append("rings")
        for key in ("image_fd", "output_fd"):
            if type(load[key]) is not type(recorded[key]):
                keys.append(key)
        rooms = [each and (len(each["fds"]), each["bytes"]) for each in (load["scratch"], recorded["scratch"])]
        if rooms[0] != rooms[1]:
            keys.append("scratch")
        if keys:
            raise Mismatch(f"LOAD is another one in {keys}")
        fds = [grant["fd"] for grant in load["grants"].values() if "fd" in grant]
        fds += [ring["fd"] for ring in load["rings"]]
        fds += [load[key] for key in ("image_fd", "output_fd") if load[key] is not None]
        fds += load["scratch"]["fds"] if load["scratch"] else []
        for fd in fds:
            os.fstat(fd)

    def check_image(self, recorded: dict) -> None:
        """The facts are those that were recorded."""
        kind, payload = self.receive()
        message = json.loads(payload)
        keys = [key for key in recorded if key not in message or (key != "ring" and message[key] != recorded[key])]
        if kind != IMAGE or keys:
            raise Mismatch(f"IMAGE (frame {kind}) is another one in {keys}: {message}")
        self.ring = self.load["rings"][message["ring"]]
        if self.load["image_fd"] is not None and os.pread(self.load["image_fd"], 1 << 26, 0) != self.expected:
            raise Mismatch("the image's file holds something else")

    def hear(self, offset: int, end) -> None:
        """Hear the engine until it has sent the image up to `offset`, and its end if `end` says so."""
        while self.got < offset or (end is not None and self.end is None):
            kind, payload = self.receive()
            numbers = _numbers(payload)
            if self.end is not None or numbers[0] != self.got:
                raise Mismatch(f"frame {kind} at {numbers}, the image had been sent up to {self.got}")
            if kind == DATA:
                self.check_data(*numbers)
            elif kind == HOLE:
                if self.expected[self.got : self.got + numbers[1]].strip(b"\0"):
                    raise Mismatch(f"a hole at {numbers} where the image has none")
                self.got += numbers[1]
            elif kind == END:
                self.end = numbers
                if end is not None and numbers != end:
                    raise Mismatch(f"END says {numbers}, and not {end}")
            else:
                raise Mismatch(f"a frame of type {kind} in the middle of the data")

    def check_data(self, at: int, place: int, length: int) -> None:
        """The bytes stand where they should, in one slot."""
        size = self.ring["slot_bytes"]
        slot, inside = divmod(place, size)
        if inside + length > size or not length:
            raise Mismatch(f"{length} bytes at {place} are not in one slot of {size}")
        with mmap.mmap(self.ring["fd"], size, mmap.MAP_SHARED, mmap.PROT_READ, offset=slot * size) as mapping:
            if mapping[inside : inside + length] != self.expected[at : at + length]:
                raise Mismatch(f"other bytes at {at}")
        self.got += length

    def receive(self):
        """One frame, whole."""
        header = self.exactly(8)
        return int.from_bytes(header[:4], "little"), self.exactly(int.from_bytes(header[4:], "little"))

    def exactly(self, size: int) -> bytes:
        """So many bytes of the channel."""
        data = b""
        while len(data) < size:
            part = os.read(self.channel, size - len(data))
            if not part:
                os._exit(0)  # the engine has seen enough
            data += part
        return data

    def send(self, kind: int, payload: bytes) -> None:
        """One frame."""
        frame = kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload
        while frame:
            frame = frame[os.write(self.channel, frame) :]


def _numbers(payload: bytes):
    return [int.from_bytes(payload[at : at + 8], "little") for at in range(0, len(payload), 8)]
