"""The writer: the file equals the ring, with the page cache and without."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.errors import SinkError
from douane.stream import writer
from douane.stream.ring import Ring
from douane.stream.sink import FileSink, Sink
from douane.stream.writer import Writer

KiB, MiB = 1 << 10, 1 << 20
NOISE = hashlib.shake_256(b"noise").digest(3 * MiB)


class Target(FileSink):
    def __init__(self, folder: str) -> None:
        super().__init__(os.open(folder, os.O_RDWR | os.O_TMPFILE, 0o600), "the target")
        self.finished: int | None = None

    def finish(self, size: int) -> None:
        os.ftruncate(self.fd, size)
        self.finished = size

    def explain(self, error: OSError) -> SinkError:
        return SinkError(f"no space: {error.strerror}", code="full")

    def content(self) -> bytes:
        with os.fdopen(os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY), "rb") as file:
            return file.read()


def write(target: Sink, pieces: list[bytes | int], *, cached: bool = False) -> Writer:
    """Pieces: bytes, or the length of a hole."""
    ring = Ring()
    reader = Writer(ring, target, lambda _: None, cached=cached)
    reader.start()
    try:
        for piece in pieces:
            if isinstance(piece, int):
                ring.hole(piece)
                continue
            for at in range(0, len(piece), ring.slot_bytes):
                part = piece[at : at + ring.slot_bytes]
                place = ring.reserve()
                ring.view[place : place + len(part)] = part
                ring.publish(place, len(part))
        ring.finish()
        reader.join()
    finally:
        ring.stop()
        reader.cancel()
        reader.join()
        ring.close()
    return reader


def expected(pieces: list[bytes | int]) -> bytes:
    return b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)


class Parts:
    """A sink that is no file: it keeps what it was given, which must come in order."""

    fd = None

    def __init__(self) -> None:
        self.data = bytearray()
        self.finished: int | None = None

    def write(self, view: memoryview, offset: int) -> None:
        assert offset >= len(self.data)
        self.data += bytes(offset - len(self.data)) + view

    def open_read(self) -> None:
        return None

    def finish(self, size: int) -> None:
        self.data += bytes(size - len(self.data))
        self.finished = size

    def explain(self, error: OSError) -> SinkError:
        raise AssertionError("it raises its own errors")


@pytest.fixture(params=["on the disk", "in memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "on the disk" else "/dev/shm"


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 2 * MiB),
            st.sampled_from([4096, 64 * KiB, MiB]),
            st.builds(lambda a, n: NOISE[a : a + n], st.integers(0, MiB), st.integers(1, 2 * MiB)),
            st.builds(lambda n: NOISE[: n * 4096], st.integers(1, 512)),
            st.just(bytes(300 * KiB)),
        ),
        max_size=8,
    )
)
def test_the_file_equals_the_ring(pieces: list[bytes | int]) -> None:
    for place in (tempfile.gettempdir(), "/dev/shm"):
        target = Target(place)
        reader = write(target, pieces)
        assert reader.error is None
        assert reader.size == target.finished == len(expected(pieces))
        assert target.content() == expected(pieces)
        os.close(target.fd)
    parts = Parts()
    assert write(parts, pieces).size == parts.finished
    assert parts.data == expected(pieces), "what is no file receives the pieces in order"


def test_a_file_that_is_read_again_stays_in_the_cache(folder: str) -> None:
    target = Target(folder)
    write(target, [NOISE, 5, NOISE[:77]], cached=True)
    assert not fcntl.fcntl(target.fd, fcntl.F_GETFL) & os.O_DIRECT
    assert target.content() == expected([NOISE, 5, NOISE[:77]])


def test_zeros_and_holes_take_no_space(folder: str) -> None:
    target = Target(folder)
    write(target, [NOISE[: 64 * KiB], bytes(4 * MiB), 8 * MiB])
    assert os.fstat(target.fd).st_size == 64 * KiB + 12 * MiB
    assert os.fstat(target.fd).st_blocks * 512 <= 128 * KiB


@pytest.mark.parametrize("direct", [True, False])
def test_a_full_disk_is_reported_with_and_without_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, direct: bool
) -> None:
    target = Target(str(tmp_path))
    bypass = writer.bypass_cache
    monkeypatch.setattr(writer, "bypass_cache", lambda fd: direct and bypass(fd))
    real = os.pwrite

    def full(fd: int, data: memoryview, at: int) -> int:
        if at >= 2 * MiB:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    reader = write(target, [NOISE, NOISE[:100]])
    assert reader.size is None
    assert target.finished is None
    assert reader.error is not None
    assert reader.error.code == "full"


def test_slots_are_released_after_they_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = Target(str(tmp_path))
    written: set[int] = set()
    real = os.pwrite

    def noted(fd: int, data: memoryview, at: int) -> int:
        count = real(fd, data, at)
        written.add(at)
        return count

    class Watched(Ring):
        def release(self, reader: object, offset: int) -> None:
            assert all(at in written for at in range(0, offset, MiB))
            super().release(reader, offset)  # type: ignore[arg-type]  # the only reader

    monkeypatch.setattr(os, "pwrite", noted)
    ring = Watched()
    reader = Writer(ring, target, lambda _: None)
    reader.start()
    for _ in range(40):
        place = ring.reserve()
        ring.view[place : place + MiB] = NOISE[:MiB]
        ring.publish(place, MiB)
    ring.finish()
    reader.join()
    ring.close()
    assert reader.error is None
    assert reader.size == 40 * MiB


def test_a_large_hole_after_little_data_is_fast(folder: str) -> None:
    target = Target(folder)
    reader = write(target, [NOISE[: 100 * KiB], 64 << 30, NOISE])
    assert reader.size == 100 * KiB + (64 << 30) + len(NOISE)
    with open(f"/proc/self/fd/{target.fd}", "rb") as file:
        file.seek(-len(NOISE), os.SEEK_END)
        assert file.read() == NOISE
