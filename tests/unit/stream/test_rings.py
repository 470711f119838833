"""The files of a run: plugins read at random what a target keeps, or a temporary file if no target is a file."""

from __future__ import annotations

import fcntl
import os

from douane.stream.page_cache import bypass_cache
from douane.stream.rings import Rings
from douane.stream.sink import FileSink, TempSink
from douane.stream.target import Target


class Parts(FileSink):
    """A sink whose bytes cannot be read back."""

    def open_read(self) -> None:  # type: ignore[override]
        return None


def test_the_first_required_target_that_is_a_file_is_read_again() -> None:
    temp = TempSink("for the test")
    targets = [Target(Parts(-1, "parts")), Target(temp, required=False), Target(temp)]
    rings = Rings(1, 1, targets)
    try:
        for _ in range(2):
            fd = rings.open_file(0)
            assert os.path.samestat(os.fstat(fd), os.fstat(temp.fd))
            os.close(fd)
        assert [rings.is_read_again(target) for target in targets] == [False, False, True]
        assert rings.spool_of(0) is None
    finally:
        rings.close()
        temp.close()


def test_without_a_target_that_is_a_file_the_ring_is_kept_in_a_temporary_file() -> None:
    target = Target(Parts(-1, "parts"))
    rings = Rings(1, 1, [target])
    try:
        fd = rings.open_file(0)
        spool = rings.spool_of(0)
        assert spool is not None
        assert os.path.samestat(os.fstat(fd), os.fstat(spool.fd))
        assert not rings.is_read_again(target)
        os.close(fd)
    finally:
        rings.close()


def test_the_reader_of_files_reads_around_the_cache_what_no_plugin_reads_at_random() -> None:
    temp = TempSink("for the test")
    rings = Rings(3, 1, cached={1})
    in_place = Rings(1, 1, in_place=temp)
    try:
        fds = [*(rings.open_for_reader(stage) for stage in range(3)), in_place.open_for_reader(0), temp.open_read()]
        is_direct = bypass_cache(fds[-1])
        flags = [bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT) for fd in fds[:-1]]
        for fd in fds:
            os.close(fd)
        assert flags == [is_direct, False, is_direct, False]
    finally:
        rings.close()
        in_place.close()
        temp.close()
