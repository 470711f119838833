"""Reading the file of an image around the page cache: the same bytes, in whole blocks, few of them twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_guest import source
from douane_guest.errors import Broken

BYTES = hashlib.shake_256(b"disk").digest((9 << 20) + 4321)
BLOCK = 4096


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "disk"
    path.write_bytes(BYTES)
    return path


class Reads:
    """What is read of the file, as `os` has it; each read in the way that O_DIRECT allows."""

    preadv = staticmethod(os.preadv)

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        monkeypatch.setattr(source.os, "preadv", self._read)

    def _read(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        assert offset % BLOCK == 0
        assert [len(buffer) % BLOCK for buffer in buffers] == [0]
        count = self.preadv(fd, buffers, offset)
        self.bytes += count
        return count


RANGES = st.lists(st.tuples(st.integers(0, len(BYTES)), st.integers(0, 3 << 20)), max_size=20)


@given(RANGES)
def test_any_reads_return_the_bytes_of_the_file(path: Path, ranges: list[tuple[int, int]]) -> None:
    with path.open("rb") as file, pytest.MonkeyPatch.context() as monkeypatch:
        Reads(monkeypatch)
        direct = source.DirectSource(file.fileno())
        for start, length in ranges:
            end = min(start + length, len(BYTES))
            assert direct.pread(start, end - start) == BYTES[start:end]
        with pytest.raises(Broken):
            direct.pread(len(BYTES), 1)


def test_reads_that_follow_each_other_read_the_file_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch)
    with path.open("rb") as file:
        direct = source.DirectSource(file.fileno())
        for start in range(0, len(BYTES) - 20_000, 20_000):
            assert direct.pread(start, 20_000) == BYTES[start : start + 20_000]
            direct.pread(4 * (start // 80_000), 4)  # a table that is asked for between them
    assert reads.bytes <= len(BYTES)


def test_a_file_that_ends_while_it_is_read_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(BYTES[: 3 << 20])
    with path.open("r+b") as file:
        direct = source.DirectSource(file.fileno())
        file.truncate(1 << 20)
        with pytest.raises(Broken, match="ended at byte"):
            direct.pread((1 << 20) - 10, 20)


def test_a_file_is_read_in_blocks_if_it_is_open_so(path: Path) -> None:
    for flags, kind in ((os.O_RDONLY, source.FileSource), (os.O_RDONLY | os.O_DIRECT, source.DirectSource)):
        fd = os.open(path, flags)
        try:
            opened = source.open_file(fd)
            assert type(opened) is kind
            assert opened.pread(70_000, 100) == BYTES[70_000:70_100]
        finally:
            os.close(fd)
