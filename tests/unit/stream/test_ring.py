"""The ring: every reader sees every byte, nobody waits for ever, and nobody but the engine can write."""

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

from douane.stream.ring import FIRST_BYTES, SLOT_BYTES, SLOTS, Chunk, Ring, Stopped

PAGE = mmap.PAGESIZE


class Recorder:
    """A reader that notes what it is sent and lets go when it is told to."""

    def __init__(self, ring: Ring, essential: bool = True) -> None:
        self.released = 0
        self.essential = essential
        self.chunks: list[Chunk] = []
        self.seen = b""
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
        """Read the oldest chunk, and let it go."""
        chunk = self.chunks.pop(0)
        length = chunk.end - chunk.start
        if chunk.place is None:
            self.seen += bytes(length)
        else:
            self.seen += bytes(self._ring.view[chunk.place : chunk.place + length])
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
    made = Ring(slots=4, slot_bytes=PAGE)
    yield made
    made.close()


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.integers(1, 10_000), max_size=40),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_every_reader_sees_every_byte_in_order_however_they_take_turns(pieces, count, random):
    ring = Ring(slots=4, slot_bytes=PAGE)
    readers = [Recorder(ring) for _ in range(count)]
    for reader in readers:
        ring.attach(reader)
    expected = b""
    slots = [0 for _ in readers]  # that each has not taken, whether it has been told of them or not
    for piece in pieces:
        while max(slots) == 4:  # as the writer would wait: somebody has to let go first
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
        assert reader.seen == expected
        assert reader.size == len(expected)
    ring.close()


def told(readers: Sequence[Recorder]) -> list[int]:
    return [reader.chunks[-1].end if reader.chunks else 0 for reader in readers]


def test_readers_are_told_in_turn_and_of_all_that_came_meanwhile():
    ring = Ring(slots=9, slot_bytes=PAGE)
    readers = [Recorder(ring) for _ in range(2)]
    for reader in readers:
        ring.attach(reader)
    seen = []
    for _ in range(8):
        write(ring, b"x", spread=4)
        seen.append(tuple(told(readers)))
    assert seen == [(0, 0), (0, 0), (0, 3), (4, 3), (4, 3), (4, 3), (4, 7), (8, 7)]
    write(ring, b"x")
    assert told(readers) == [9, 9]
    assert [len(reader.chunks) for reader in readers] == [9, 9]
    ring.close()


@pytest.mark.parametrize("end", ["finish", "hole"])
def test_all_is_told_before_an_end_or_a_hole(ring, end):
    reader = Recorder(ring)
    ring.attach(reader)
    write(ring, b"ab", spread=4)
    getattr(ring, end)(*([5] if end == "hole" else []))
    assert (reader.chunks[0].start, reader.chunks[0].end) == (0, 2)
    assert reader.size == (2 if end == "finish" else None)


def test_a_writer_that_waits_has_told_all(ring):
    """Or they would wait for each other."""
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
    assert reader.seen == bytes(range(5))


def test_the_writer_waits_for_the_slowest_reader(ring):
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
    assert slow.seen == bytes(range(5))


def test_a_reader_that_leaves_holds_nobody_up(ring):
    stays, leaves = Recorder(ring), Recorder(ring)
    ring.attach(stays)
    ring.attach(leaves)
    for number in range(4):
        write(ring, bytes([number]))
        stays.take()
    ring.detach(leaves)
    write(ring, b"\x04")
    stays.take()
    assert stays.seen == bytes(range(5))


def test_no_more_than_the_first_bytes_are_read_until_everybody_let_go_of_the_beginning():
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


def test_an_auditor_is_left_behind_and_the_others_are_not_held_up():
    ring = Ring(slots=SLOTS + 2, slot_bytes=PAGE)
    reader, auditor = Recorder(ring), Recorder(ring, essential=False)
    ring.attach(reader)
    ring.attach(auditor)
    for number in range(SLOTS + 3):
        write(ring, bytes([number]))
        reader.take()
    assert auditor.dropped
    assert reader.seen == bytes(range(SLOTS + 3))
    ring.close()


def test_an_auditor_that_keeps_up_is_kept():
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


def test_who_comes_late_still_reads_from_the_beginning_while_it_is_held(ring):
    hold = Recorder(ring)
    ring.attach(hold)
    write(ring, b"abc")
    ring.hole(5)
    late = Recorder(ring)
    ring.attach(late)
    ring.finish()
    late.take()
    late.take()
    assert late.seen == b"abc" + bytes(5)
    assert late.size == 8


def test_who_comes_too_late_is_told_so_and_shown_nothing_wrong(ring):
    reader = Recorder(ring)
    ring.attach(reader)
    write(ring, b"a")
    write(ring, b"b")
    reader.take()
    with pytest.raises(ValueError, match="beginning"):
        ring.attach(Recorder(ring))


def test_stopping_frees_the_writer(ring):
    ring.attach(Recorder(ring))
    for _ in range(4):
        write(ring, b"x")
    found: list[str] = []

    def writer() -> None:
        try:
            ring.reserve()
        except Stopped:
            found.append("stopped")

    thread = threading.Thread(target=writer)
    thread.start()
    ring.stop()
    thread.join(20)
    assert found == ["stopped"]


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
def test_nobody_with_the_descriptor_can_change_the_ring(ring, attempt, reopened):
    fd = os.open(f"/proc/self/fd/{ring.fd}", os.O_RDWR) if reopened else ring.fd
    try:
        with pytest.raises(OSError, match=r"."):
            attempt(fd)
    finally:
        if reopened:
            os.close(fd)
