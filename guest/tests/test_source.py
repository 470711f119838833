"""Reading the file of an image around the page cache: the same bytes, in whole blocks, few of them twice."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_guest import direct_source, source
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
        monkeypatch.setattr(direct_source.os, "preadv", self._read)

    def _read(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        assert offset % BLOCK == 0
        assert [len(buffer) % BLOCK for buffer in buffers] == [0]
        count = self.preadv(fd, buffers, offset)
        self.bytes += count
        return count


RANGES = st.lists(st.tuples(st.integers(0, len(BYTES)), st.integers(0, 3 << 20)), max_size=20)


def until(condition: Callable[[], bool]) -> None:
    """Wait for the thread that reads ahead; a test that waits for ever is ended by its timeout."""
    while not condition():
        time.sleep(0.001)


@given(RANGES)
def test_any_reads_return_the_bytes_of_the_file(path: Path, ranges: list[tuple[int, int]]) -> None:
    with path.open("rb") as file, pytest.MonkeyPatch.context() as monkeypatch:
        Reads(monkeypatch)
        direct = direct_source.DirectSource(file.fileno())
        for start, length in ranges:
            end = min(start + length, len(BYTES))
            assert direct.pread(start, end - start) == BYTES[start:end]
        with pytest.raises(Broken):
            direct.pread(len(BYTES), 1)


def test_reads_that_follow_each_other_read_the_file_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch)
    with path.open("rb") as file:
        direct = direct_source.DirectSource(file.fileno())
        for start in range(0, len(BYTES) - 20_000, 20_000):
            assert direct.pread(start, 20_000) == BYTES[start : start + 20_000]
            direct.pread(4 * (start // 80_000), 4)  # a table that is asked for between them
    assert reads.bytes <= len(BYTES)


def test_a_run_is_read_while_the_one_before_it_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(monkeypatch)
    with path.open("rb") as file:
        direct = direct_source.DirectSource(file.fileno())
        direct.pread(0, 4 << 20)
        until(lambda: reads.bytes >= 6 << 20)
        assert direct.pread(4 << 20, 1 << 20) == BYTES[4 << 20 : 5 << 20]


def test_all_bytes_come_if_no_thread_can_be_started(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with path.open("rb") as file:
        direct = direct_source.DirectSource(file.fileno())
        assert b"".join(direct.pread(start, 500_000) for start in range(0, 9_000_000, 500_000)) == BYTES[:9_000_000]


def test_an_error_of_the_disk_is_raised_where_the_bytes_are_needed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, preadv = 7 << 20, os.preadv

    def read(fd: int, buffers: list[memoryview], offset: int) -> int:
        if offset <= broken < offset + len(buffers[0]):
            raise OSError(errno.EIO, "the disk is broken")
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(direct_source.os, "preadv", read)
    with path.open("rb") as file:
        direct = direct_source.DirectSource(file.fileno())
        for start in range(0, broken - direct_source.RUN, 1 << 16):
            assert direct.pread(start, 1 << 16) == BYTES[start : start + (1 << 16)]
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                direct.pread(broken - direct_source.RUN, direct_source.RUN + 1)


def test_the_thread_ends_with_the_source(path: Path) -> None:
    before = set(threading.enumerate())
    with path.open("rb") as file:
        direct = direct_source.DirectSource(file.fileno())
        direct.pread(0, 6 << 20)
        [thread] = set(threading.enumerate()) - before
        del direct
        thread.join()


def test_a_file_that_ends_while_it_is_read_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(BYTES[: 3 << 20])
    with path.open("r+b") as file:
        direct = direct_source.DirectSource(file.fileno())
        file.truncate(1 << 20)
        with pytest.raises(Broken, match="ended at byte"):
            direct.pread((1 << 20) - 10, 20)


def test_a_file_is_read_in_blocks_if_it_is_open_so(path: Path) -> None:
    for flags, kind in ((os.O_RDONLY, source.FileSource), (os.O_RDONLY | os.O_DIRECT, direct_source.DirectSource)):
        fd = os.open(path, flags)
        try:
            opened = direct_source.open_file(fd)
            assert type(opened) is kind
            assert opened.pread(70_000, 100) == BYTES[70_000:70_100]
        finally:
            os.close(fd)
