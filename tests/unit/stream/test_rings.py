"""The files of a run: plugins read at random what a target keeps, or a temporary file if no target is a file."""

from __future__ import annotations

import os

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
