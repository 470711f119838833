"""The engine of then, towards the runtime that is installed here. Needs nothing of Douane but the contract."""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import zlib
from typing import Any

from support.contract.conversation import (
    ALIVE,
    DATA,
    DESCRIBED,
    FAILED,
    HOLE,
    IMAGE,
    INCOMPLETE,
    LOAD,
    PROGRESS,
    READY,
    RELEASE,
    Conversation,
    Frame,
    digest,
    with_unknown,
)

SECONDS = 60
"""How long anything may take before a test fails instead of hanging."""

BOOT = """
import fcntl, json, os, sys
moves, channel = json.loads(sys.argv.pop()), int(sys.argv.pop())
lifted = [(fcntl.fcntl(there, fcntl.F_DUPFD, 300), target) for there, target in moves]
for high, target in lifted:
    os.dup2(high, target)
    os.close(high)
from douane_plugin._runtime import main
main(channel)
"""


class Played:
    """What the runtime did: its frames, the bytes that it put out, its exit status."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.output = b""
        self.status: int | None = None
        self.faults: list[str] = []
        """What no runtime may do."""

    def answers(self) -> list[tuple[int, Any]]:
        """What it said, without what is not promised: how often it lets go, the texts of a failure."""
        return comparable(self.frames)


def comparable(frames: list[Frame]) -> list[tuple[int, Any]]:
    """Frames without what may differ from release to release."""
    answers: list[tuple[int, Any]] = []
    for frame in frames:
        if frame.kind in (RELEASE, PROGRESS, ALIVE):
            continue
        value: Any = frame.json if frame.payload else None
        if frame.kind == DESCRIBED:
            value = {key: each for key, each in value.items() if key != "level"}  # a later runtime knows more levels
        if frame.kind == FAILED:
            value = {key: value[key] for key in ("stage", "kind", "seen", "key") if key in value}
        if frame.kind == INCOMPLETE and value["code"].startswith("guest-"):
            del value["message"]  # of `douane_guest`
        answers.append((frame.kind, value))
    return answers


def play(conversation: Conversation, *, unknown: bool = False) -> Played:
    """Say the engine's part. With `unknown`, its JSON frames hold keys that no runtime knows yet."""
    return _Engine(conversation, unknown).play()


class _Engine:
    def __init__(self, conversation: Conversation, unknown: bool) -> None:
        self.conversation = conversation
        self.unknown = unknown
        self.played = Played()
        self.image = conversation.image
        self.ring_bytes = conversation.ring
        self.load = conversation.sent_by("engine")[0].json
        self.moves: list[tuple[int, int]] = []
        self.threads: list[threading.Thread] = []
        self.folder = tempfile.TemporaryDirectory()
        self.paths: dict[str, str] = {}
        """Where the granted files and folders are here, by name."""
        self.socket_folders: dict[str, str] = {}
        self.listeners: list[socket.socket] = []
        self.ring: mmap.mmap | None = None
        self.buffer = b""
        self.ready = self.ended = False
        self.sent = self.released = 0
        self.in_use: list[tuple[int, int, int]] = []

    def play(self) -> Played:
        channel, theirs = socket.socketpair()
        self.channel = channel
        self._hand_out()
        target = max([there for _, there in self.moves], default=10) + 1
        self.moves.append((theirs.detach(), target))
        process = subprocess.Popen(
            [sys.executable, "-c", BOOT, str(target), json.dumps(self.moves)],
            pass_fds=[fd for fd, _ in self.moves],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for fd in {fd for fd, _ in self.moves}:
                os.close(fd)
            self._converse()
            self.played.status = process.wait(SECONDS)
            for thread in self.threads:
                thread.join(SECONDS)
        finally:
            process.kill()
            process.wait()
            channel.close()
            if self.ring is not None:
                self.ring.close()
            for listener in self.listeners:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self.folder.cleanup()
        return self.played

    def _hand_out(self) -> None:
        """The descriptors, for the numbers that they had."""
        load = self.load
        for ring in load["rings"]:
            fd = os.memfd_create("ring")
            os.ftruncate(fd, 1 << 28)
            self.moves.append((fd, ring["fd"]))
            self.ring = self.ring or mmap.mmap(fd, 1 << 28)
        if load["image_fd"] is not None:
            fd = os.memfd_create("image")
            os.write(fd, self.image)
            self.moves.append((os.open(f"/proc/self/fd/{fd}", os.O_RDONLY), load["image_fd"]))
            os.close(fd)
        if load["output_fd"] is not None:
            end, fd = os.pipe()
            self.moves.append((fd, load["output_fd"]))
            self._thread(self._take_output, end)
        for fd in (load["scratch"] or {}).get("fds", ()):
            self.moves.append((os.memfd_create("scratch"), fd))
        for name, sent in load["grants"].items():
            recorded = self.conversation.header["granted"][name]
            path = os.path.join(self.folder.name, name)
            if recorded["kind"] == "dir":
                for each, content in recorded["files"].items():
                    _write(os.path.join(path, each), bytes.fromhex(content))
                self.paths[name] = path
            elif "path" in sent:
                _write(path, bytes.fromhex(recorded["hex"]))
                self.moves.append((os.open(path, os.O_RDONLY), sent["fd"]))
                self.paths[name] = path
            elif recorded["kind"] == "file":
                end, fd = os.pipe()
                os.write(fd, bytes.fromhex(recorded["hex"]))
                os.close(fd)
                self.moves.append((end, sent["fd"]))
            else:
                self._serve(name, sent, bytes.fromhex(recorded["asks"]), bytes.fromhex(recorded["answers"]))

    def _serve(self, name: str, sent: Any, asks: bytes, answers: bytes) -> None:
        """A service, its further connections, and the path at which libraries find it."""
        near, far = socket.socketpair()
        self.moves.append((far.detach(), sent["fd"]))
        self._thread(_answer, near, asks, answers)
        if sent.get("connect_fd") is not None:
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.moves.append((far.detach(), sent["connect_fd"]))
            self._thread(_connect, near, asks, answers)
        if sent.get("socket_folder") is not None:
            listener = socket.socket(socket.AF_UNIX)
            self.socket_folders[name] = os.path.join(self.folder.name, name)
            os.mkdir(self.socket_folders[name])
            listener.bind(os.path.join(self.socket_folders[name], "socket"))
            listener.listen()
            threading.Thread(target=_accept, args=(listener, asks, answers), daemon=True).start()
            self.listeners.append(listener)

    def _thread(self, target: Any, *args: Any) -> None:
        self.threads.append(threading.Thread(target=target, args=args, daemon=True))
        self.threads[-1].start()

    def _take_output(self, fd: int) -> None:
        with os.fdopen(fd, "rb") as pipe:
            self.played.output = pipe.read()

    def _converse(self) -> None:
        for frame in self.conversation.sent_by("engine"):
            payload = frame.payload
            if frame.kind == LOAD and (self.paths or self.socket_folders):
                payload = json.dumps(self._with_paths(frame.json)).encode()
            if frame.kind in (LOAD, IMAGE) and self.unknown:
                payload = json.dumps(with_unknown(json.loads(payload))).encode()
            if frame.kind == IMAGE:
                self._hear(lambda: self.ready)
            elif frame.kind == DATA:
                self._lay(*frame.numbers)
            elif frame.kind == HOLE:
                self.sent = sum(frame.numbers)
            if self.ended:
                break
            try:
                self.channel.sendall(Frame("engine", frame.kind, payload).bytes)
            except (BrokenPipeError, ConnectionResetError):
                break  # it has answered, and ended
        self._hear(lambda: False)

    def _with_paths(self, load: Any) -> Any:
        """LOAD with the paths at which the granted files, folders and sockets are here."""
        grants = {}
        for name, sent in load["grants"].items():
            grants[name] = dict(sent)
            if name in self.paths:
                grants[name]["path"] = self.paths[name]
            if name in self.socket_folders:
                grants[name]["socket_folder"] = self.socket_folders[name]
        return {**load, "grants": grants}

    def _lay(self, at: int, place: int, length: int) -> None:
        """Put bytes into the ring, when it has let go of what stood there."""
        overlaps = [end for begin, stop, end in self.in_use if begin < place + length and place < stop]
        if overlaps:
            self._hear(lambda: self.released >= max(overlaps))
        assert self.ring is not None
        self.in_use = [each for each in self.in_use if each[2] not in overlaps]
        self.in_use.append((place, place + length, at + length))
        self.ring[place : place + length] = self.ring_bytes[at : at + length]
        self.sent = at + length

    def _hear(self, enough: Any) -> None:
        """Take what the runtime says until it is `enough`, or it has hung up."""
        while not self.ended and not enough():
            if not select.select([self.channel], [], [], SECONDS)[0]:
                raise AssertionError(f"the runtime says nothing more after {[f.kind for f in self.played.frames]}")
            try:
                data = self.channel.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            self.ended = not data
            self.buffer += data
            while len(self.buffer) >= 8:
                length = int.from_bytes(self.buffer[4:8], "little")
                if len(self.buffer) < 8 + length:
                    break
                self._on_frame(Frame("plugin", int.from_bytes(self.buffer[:4], "little"), self.buffer[8 : 8 + length]))
                self.buffer = self.buffer[8 + length :]

    def _on_frame(self, frame: Frame) -> None:
        played = self.played
        if played.frames and 16 <= played.frames[-1].kind < 64:
            played.faults.append(f"a frame of type {frame.kind} after the verdict")
        played.frames.append(frame)
        if frame.kind == READY:
            self.ready = True
        elif frame.kind == RELEASE:
            if not self.released < frame.numbers[0] <= self.sent:
                played.faults.append(f"RELEASE {frame.numbers} after {self.released}; {self.sent} were sent")
            self.released = frame.numbers[0]
        elif frame.kind == PROGRESS and frame.numbers[0] > self.sent:
            played.faults.append(f"PROGRESS {frame.numbers}; {self.sent} were sent")


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def _answer(near: socket.socket, asks: bytes, answers: bytes) -> None:
    with near:
        if near.recv(len(asks), socket.MSG_WAITALL) == asks:
            near.sendall(answers)


def _connect(control: socket.socket, asks: bytes, answers: bytes) -> None:
    """A connection for each request."""
    with control:
        while control.recv(16):
            near, far = socket.socketpair()
            with far:
                socket.send_fds(control, [bytes(4)], [far.fileno()])
            threading.Thread(target=_answer, args=(near, asks, answers), daemon=True).start()


def _accept(listener: socket.socket, asks: bytes, answers: bytes) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return  # the test is over
        _answer(near, asks, answers)


def output_of(conversation: Conversation) -> bytes:
    """What the transform put out when it was recorded."""
    output = conversation.header.get("output")
    data = zlib.decompress(bytes.fromhex(output["zlib"])) if output else b""
    assert not output or digest(data) == output["sha256"]
    return data
