"""The conversation in docs/wire.md is real: the engine sends its frames, and scan.c answers with the others."""

from __future__ import annotations

import json
import mmap
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from douane_plugin import wire
from support.wire_programs import LISTEN, compiled, plan, speaker

pytestmark = pytest.mark.usefixtures("wire_c")

PAGE = Path(__file__).parents[3] / "docs" / "wire.md"
IMAGE = b"a small image"
SECONDS = 60
_FRAME = re.compile(r"(engine|plugin)  ((?:[0-9a-f]{2} ){7}[0-9a-f]{2})   ([A-Z]+)\n(?:        (.+)\n)?")


def page_frames() -> list[tuple[str, bytes]]:
    """Every frame of the page: who sends it, and its bytes."""
    frames = []
    for sender, header, name, body in _FRAME.findall(PAGE.read_text()):
        payload = body.encode() if body.startswith("{") else bytes.fromhex(body)
        data = bytes.fromhex(header)
        assert int.from_bytes(data[:4], "little") == getattr(wire, name)
        assert int.from_bytes(data[4:], "little") == len(payload), name
        frames.append((sender, data + payload))
    return frames


*CONVERSATION, (_, REFUSAL) = page_frames()


def normalized(data: bytes) -> object:
    """A frame without what differs between runs: descriptors and the path of the program."""
    if data[8:9] != b"{":
        return data
    value = json.loads(data[8:])
    if "rings" in value:
        value["rings"] = [{**ring, "fd": 0} for ring in value["rings"]]
        value["use"] = {"argv": None}
    return data[:4], list(value), value


def test_the_page_has_a_complete_conversation():
    names = [wire.TYPES[int.from_bytes(data[:4], "little")] for _, data in CONVERSATION]
    assert names == ["LOAD", "DESCRIBED", "READY", "IMAGE", "DATA", "RELEASE", "END", "ACCEPT"]


def test_the_engine_sends_the_frames_of_the_page(run):
    script = [LISTEN if sender == "engine" else data for sender, data in CONVERSATION]
    toml = plan(speaker(*script), 'config = { pattern = "6576696c" }').replace('"wired"', '"scan"')
    log = []
    declared = {"name": "tiny", "disk_format": "raw", "container_format": "bare"}
    report = run(IMAGE, toml=toml, declared=declared, log=log)
    assert report.outcome == "accepted"
    assert report.properties == {"scan.searched": 13, "scan.zeros": 0}
    received = [bytes.fromhex(text) for _, level, text in log if level == 20]
    expected = [data for sender, data in CONVERSATION if sender == "engine"]
    assert [normalized(data) for data in received] == [normalized(data) for data in expected]


def play(image: bytes, pattern: bytes) -> tuple[bytes, int]:
    """Send the engine's frames of the page to scan.c, with `image`: its reply, and its exit status."""
    ours, theirs = socket.socketpair()
    ring = os.memfd_create("ring")
    os.ftruncate(ring, 16 << 20)
    with mmap.mmap(ring, 16 << 20) as memory:
        memory[: len(image)] = image
        parts = [data for sender, data in CONVERSATION if sender == "engine"]
        load = json.loads(parts[0][8:])
        (ring_entry,) = load["rings"]
        payload = json.dumps(
            {**load, "rings": [{**ring_entry, "fd": ring}], "config": {"pattern": pattern.hex()}}
        ).encode()
        parts[0] = parts[0][:4] + len(payload).to_bytes(4, "little") + payload
        with ours, theirs:
            process = subprocess.Popen(
                [compiled("scan")],
                env={"DOUANE_CHANNEL": str(theirs.fileno())},
                pass_fds=[theirs.fileno(), ring],
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            os.close(ring)
            try:
                ours.settimeout(SECONDS)
                ours.sendall(b"".join(parts))
                reply = b""
                try:
                    while more := ours.recv(1 << 16):
                        reply += more
                except ConnectionResetError:
                    pass  # it has ended, with something unread
                return reply, process.wait(SECONDS)
            finally:
                process.kill()
                process.wait()


def test_the_runtime_sends_the_frames_of_the_page():
    reply, status = play(IMAGE, b"evil")
    assert reply == b"".join(data for sender, data in CONVERSATION if sender == "plugin")
    assert status == 0


def test_the_refusal_is_that_of_the_page():
    reply, status = play(IMAGE, b"small")
    greeting = [data for sender, data in CONVERSATION if sender == "plugin"][:2]
    assert reply == b"".join([*greeting, REFUSAL])
    assert status == 0
