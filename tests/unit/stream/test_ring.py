"""The ring: every reader gets every byte, nothing waits for ever, and only the engine can write."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.stream.ring import FIRST_BYTES, SLOT_BYTES, SLOTS, Chunk, Ring, RingStopped

PAGE = mmap.PAGESIZE


class Recorder:
    """A reader that records its chunks, and releases them on request."""

    def __init__(self, ring: Ring, essential: bool = True) -> None:
        self.released = 0
        self.essential = essential
        self.chunks: list[Chunk] = []
        self.content = b""
        self.size: int | None = None
        self.dropped = False
        self._ring = ring

    def push(self, chunks: Sequence[Chunk]) -> None:
        self.chunks += chunks

    def finish(self, size: int) -> None:
        self.size = size

    def overrun(self) -> None:
        self.dropped = True

    def take(self) -> None:
        """Read and release the oldest chunk."""
        chunk = self.chunks.pop(0)
        length = chunk.end - chunk.start
        if chunk.place is None:
            self.content += bytes(length)
        else:
            self.content += bytes(self._ring.view[chunk.place : chunk.place + length])
        self._ring.release(self, chunk.end)


def punch_hole(fd: int) -> None:
    """fallocate(2) with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, which Python does not offer."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
    if libc.fallocate(fd, 3, 0, PAGE) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def write(ring: Ring, data: bytes, spread: int = 1) -> None:
    place = ring.reserve()
    ring.view[place : place + len(data)] = data
    ring.publish(place, len(data), spread=spread)


@pytest.fixture
def ring():
    small = Ring(slots=4, slot_bytes=PAGE)
    yield small
    small.close()


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.integers(1, 10_000), max_size=40),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_every_reader_gets_every_byte_in_order(pieces, count, random):
    ring = Ring(slots=4, slot_bytes=PAGE)
    readers = [Recorder(ring) for _ in range(count)]
    for reader in readers:
        ring.attach(reader)
    expected = b""
    slots = [0 for _ in readers]  # that each reader has not released
    for piece in pieces:
        while max(slots) == 4:  # the writing thread would wait for the slowest reader
            number = slots.index(4)
            slots[number] -= readers[number].chunks[0].place is not None
            readers[number].take()
        if isinstance(piece, bytes):
            write(ring, piece, random.choice((1, 3)))
            expected += piece
            slots = [number + 1 for number in slots]
        else:
            ring.hole(piece)
            expected += bytes(piece)
        for number, reader in enumerate(readers):
            while reader.chunks and random.random() < 0.5:
                slots[number] -= reader.chunks[0].place is not None
                reader.take()
    ring.finish()
    for reader in readers:
        while reader.chunks:
            reader.take()
        assert reader.content == expected
        assert reader.size == len(expected)
    ring.close()


def offsets(readers: Sequence[Recorder]) -> list[int]:
    return [reader.chunks[-1].end if reader.chunks else 0 for reader in readers]


def test_readers_are_notified_in_turn_of_all_published_chunks():
    ring = Ring(slots=9, slot_bytes=PAGE)
    readers = [Recorder(ring) for _ in range(2)]
    for reader in readers:
        ring.attach(reader)
    history = []
    for _ in range(8):
        write(ring, b"x", spread=4)
        history.append(tuple(offsets(readers)))
    assert history == [(0, 0), (0, 0), (0, 3), (4, 3), (4, 3), (4, 3), (4, 7), (8, 7)]
    write(ring, b"x")
    assert offsets(readers) == [9, 9]
    assert [len(reader.chunks) for reader in readers] == [9, 9]
    ring.close()


@pytest.mark.parametrize("end", ["finish", "hole"])
def test_all_chunks_are_pushed_before_an_end_or_a_hole(ring, end):
    reader = Recorder(ring)
    ring.attach(reader)
    write(ring, b"ab", spread=4)
    getattr(ring, end)(*([5] if end == "hole" else []))
    assert (reader.chunks[0].start, reader.chunks[0].end) == (0, 2)
    assert reader.size == (2 if end == "finish" else None)


def test_all_chunks_are_pushed_before_the_writing_thread_waits(ring):
    """Otherwise they would wait for each other."""
    reader = Recorder(ring)
    ring.attach(reader)
    for number in range(4):
        write(ring, bytes([number]), spread=9)
    assert reader.chunks == []
    thread = threading.Thread(target=lambda: write(ring, b"\x04"))
    thread.start()
    while not ring.is_full:
        pass
    assert len(reader.chunks) == 4
    reader.take()
    thread.join(20)
    while reader.chunks:
        reader.take()
    assert reader.content == bytes(range(5))


def test_the_writing_thread_waits_for_the_slowest_reader(ring):
    fast, slow = Recorder(ring), Recorder(ring)
    ring.attach(fast)
    ring.attach(slow)
    for number in range(4):
        write(ring, bytes([number]))
        fast.take()
    waited = threading.Event()

    def writer() -> None:
        write(ring, b"\x04")
        waited.set()

    thread = threading.Thread(target=writer)
    thread.start()
    while not ring.is_full:
        pass
    assert not waited.is_set()
    slow.take()
    assert waited.wait(20)
    thread.join()
    while slow.chunks:
        slow.take()
    assert slow.content == bytes(range(5))


def test_a_detached_reader_holds_nothing_up(ring):
    stays, leaves = Recorder(ring), Recorder(ring)
    ring.attach(stays)
    ring.attach(leaves)
    for number in range(4):
        write(ring, bytes([number]))
        stays.take()
    ring.detach(leaves)
    write(ring, b"\x04")
    stays.take()
    assert stays.content == bytes(range(5))


def test_only_the_first_bytes_are_read_until_all_readers_released_the_beginning():
    ring = Ring()
    reader = Recorder(ring)
    ring.attach(reader)
    for _ in range(FIRST_BYTES // SLOT_BYTES):
        ring.publish(ring.reserve(), SLOT_BYTES)
    thread = threading.Thread(target=lambda: ring.publish(ring.reserve(), SLOT_BYTES))
    thread.start()
    while not ring.is_full:
        pass
    assert ring.size == FIRST_BYTES
    reader.take()
    thread.join(20)
    assert ring.size == FIRST_BYTES + SLOT_BYTES
    ring.close()


def test_a_slow_auditor_is_dropped_and_holds_nothing_up():
    ring = Ring(slots=SLOTS + 2, slot_bytes=PAGE)
    reader, auditor = Recorder(ring), Recorder(ring, essential=False)
    ring.attach(reader)
    ring.attach(auditor)
    for number in range(SLOTS + 3):
        write(ring, bytes([number]))
        reader.take()
    assert auditor.dropped
    assert reader.content == bytes(range(SLOTS + 3))
    ring.close()


def test_a_fast_auditor_is_not_dropped():
    ring = Ring(slots=SLOTS + 2, slot_bytes=PAGE)
    reader, auditor = Recorder(ring), Recorder(ring, essential=False)
    ring.attach(reader)
    ring.attach(auditor)
    for number in range(3 * SLOTS):
        write(ring, bytes([number]))
        reader.take()
        if number >= SLOTS:
            auditor.take()
    assert not auditor.dropped
    ring.close()


def test_a_late_reader_starts_at_the_beginning_while_it_is_pinned(ring):
    pin = Recorder(ring)
    ring.attach(pin)
    write(ring, b"abc")
    ring.hole(5)
    late = Recorder(ring)
    ring.attach(late)
    ring.finish()
    late.take()
    late.take()
    assert late.content == b"abc" + bytes(5)
    assert late.size == 8


def test_a_reader_that_comes_too_late_is_an_error(ring):
    reader = Recorder(ring)
    ring.attach(reader)
    write(ring, b"a")
    write(ring, b"b")
    reader.take()
    with pytest.raises(ValueError, match="beginning"):
        ring.attach(Recorder(ring))


def test_a_stop_ends_the_wait_of_the_writing_thread(ring):
    ring.attach(Recorder(ring))
    for _ in range(4):
        write(ring, b"x")
    events: list[str] = []

    def writer() -> None:
        try:
            ring.reserve()
        except RingStopped:
            events.append("stopped")

    thread = threading.Thread(target=writer)
    thread.start()
    ring.stop()
    thread.join(20)
    assert events == ["stopped"]


@pytest.mark.parametrize(
    "attempt",
    [
        lambda fd: os.pwrite(fd, b"x", 0),
        lambda fd: os.ftruncate(fd, 0),
        lambda fd: os.ftruncate(fd, 1 << 30),
        lambda fd: mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
        lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0),
        punch_hole,
    ],
    ids=["write", "shrink", "grow", "map", "seals", "punch"],
)
@pytest.mark.parametrize("reopened", [False, True])
def test_the_descriptor_cannot_change_the_ring(ring, attempt, reopened):
    fd = os.open(f"/proc/self/fd/{ring.fd}", os.O_RDWR) if reopened else ring.fd
    try:
        with pytest.raises(OSError, match=r"."):
            attempt(fd)
    finally:
        if reopened:
            os.close(fd)
