"""The ring as a plugin's process sees it: real shared memory, real frames, a writer that reuses its slots."""

from __future__ import annotations

import mmap
import os
import socket

import pytest

from douane_plugin import Image, wire
from douane_plugin._channel import Channel
from douane_plugin._chunks import RELEASE_EVERY, Chunks

SLOT = mmap.PAGESIZE


class Engine:
    """The other end: writes blocks into slots, in turn, and reads what it is told."""

    def __init__(self, slots):
        self.slots = slots
        self.fd = os.memfd_create("test-ring")
        os.ftruncate(self.fd, slots * SLOT)
        self.memory = mmap.mmap(self.fd, slots * SLOT)
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(20)
        self.at = 0
        self.count = 0

    def frame(self, kind, *numbers):
        payload = b"".join(number.to_bytes(8, "little") for number in numbers)
        self.ours.sendall(kind.to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload)

    def data(self, block):
        place = self.count % self.slots * SLOT
        self.memory[place : place + len(block)] = block
        self.frame(wire.DATA, self.at, place, len(block))
        self.at += len(block)
        self.count += 1

    def hole(self, length):
        self.frame(wire.HOLE, self.at, length)
        self.at += length

    def end(self, goes_on=False):
        self.frame(wire.END, self.at, int(goes_on))

    def last_report(self):
        data = self.ours.recv(16)
        return int.from_bytes(data[:4], "little"), int.from_bytes(data[8:16], "little")

    def image(self, reads="stream"):
        return Image({}, Chunks(Channel(self.theirs.fileno()), self.fd, SLOT), reads=reads)

    def close(self):
        self.ours.close()
        self.theirs.close()
        os.close(self.fd)


@pytest.fixture
def engine():
    ring = Engine(8)
    yield ring
    ring.close()


def test_chunks_and_holes_arrive_in_order(engine):
    engine.data(b"a" * 10)
    engine.hole(2_500_000)
    engine.data(b"b" * SLOT)
    engine.end()
    content = b"".join(bytes(chunk) for chunk in engine.image())
    assert content == b"a" * 10 + bytes(2_500_000) + b"b" * SLOT


def test_a_chunk_is_the_shared_memory_itself_not_a_copy(engine):
    engine.data(b"before")
    chunk = next(engine.image())
    engine.memory[0:6] = b"after!"
    assert bytes(chunk) == b"after!"


def test_a_chunk_is_reported_to_the_engine_after_its_release(engine):
    engine.data(b"a" * 10)
    image = engine.image()
    next(image)
    engine.ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        engine.ours.recv(1)
    engine.ours.settimeout(20)
    for _ in range(RELEASE_EVERY):
        engine.data(b"b")
    next(image)  # it has to wait for this chunk, so it reports first
    assert engine.last_report() == (wire.RELEASE, 10)
    for _ in range(RELEASE_EVERY - 1):
        next(image)
    engine.data(b"c")
    next(image)
    assert engine.last_report() == (wire.RELEASE, 10 + RELEASE_EVERY)


def test_a_slice_shows_its_bytes_for_one_more_chunk(engine):
    for letter in (b"a", b"b", b"c", b"d"):
        engine.data(letter * 16)
    engine.end()
    image = engine.image()
    parts = []
    part = None
    for chunk in image:
        if part is not None:
            parts.append(bytes(part))
        part = chunk[4:8]  # still bound when the next chunk is taken
    assert parts == [b"aaaa", b"bbbb", b"cccc"]


def test_a_slot_with_a_live_slice_is_not_released(engine):
    engine.data(b"a" * 16)
    engine.data(b"b" * 16)
    image = engine.image()
    part = next(image)[4:8]
    next(image)
    engine.data(b"c" * 16)
    assert bytes(part) == b"aaaa"
    del part
    next(image)
    assert engine.last_report() == (wire.RELEASE, 32)


def test_a_kept_slice_raises_before_its_bytes_change(engine):
    for letter in (b"a", b"b", b"c", b"d"):
        engine.data(letter * 16)
    image = engine.image()
    view = next(image)[4:8]
    next(image)
    with pytest.raises(BufferError, match=r"offset 0.*bytes\(view\)"):
        next(image)
    assert bytes(view) == b"aaaa"


def test_a_kept_array_over_a_chunk_raises(engine):
    for letter in (b"a", b"b", b"c"):
        engine.data(letter * 16)
    image = engine.image()
    view = memoryview(next(image)).cast("H")
    next(image)
    with pytest.raises(BufferError):
        next(image)
    assert view[0] == 0x6161


def test_a_view_in_a_reference_cycle_raises_no_false_alarm(engine):
    for letter in (b"a", b"b", b"c", b"d"):
        engine.data(letter * 16)
    engine.end()

    def stumble(view):
        loop = [view[2:4]]
        loop.append(loop)

    total = 0
    for chunk in engine.image():
        stumble(chunk)
        total += len(chunk)
    assert total == 64


def test_a_view_of_a_hole_may_be_kept(engine):
    engine.hole(3_000_000)
    engine.end()
    views = [chunk[:4] for chunk in engine.image()]
    assert {bytes(view) for view in views} == {bytes(4)}


def test_windows_over_real_slots(engine):
    content = bytes(range(256)) * 8
    for start in range(0, len(content), 300):
        engine.data(content[start : start + 300])
    engine.end()
    windows = [bytes(window) for window in engine.image().windows(64, 3)]
    assert windows[0] == content[:64]
    assert windows[5] == content[5 * 61 : 5 * 61 + 64]


def test_reading_beyond_the_declared_head_raises(engine):
    engine.data(b"x" * 8)
    engine.end(goes_on=True)
    image = engine.image("head:8")
    assert image.read(8) == b"x" * 8
    with pytest.raises(ValueError, match="head:8"):
        image.read(1)
