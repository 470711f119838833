"""The sink for standard output."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.errors import SinkError
from douane.stream.output import Output
from support.waiting import until


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    near, far = os.pipe()
    yield near, far
    for fd in (near, far):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_holes_are_written_as_zeros(tmp_path: Path) -> None:
    with open(tmp_path / "output", "ab") as file:
        file.write(b"before")
        file.flush()
        output = Output(file.fileno())
        output.write(memoryview(b"abc"), 100_000)
        output.finish(200_000)
        output.close()
    assert (tmp_path / "output").read_bytes() == b"before" + bytes(100_000) + b"abc" + bytes(99_997)


def test_a_reader_that_does_not_read_does_not_hold_up_the_end(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1])
    errors: list[SinkError] = []

    def write() -> None:
        try:
            output.write(memoryview(bytes(1 << 20)), 0)
        except SinkError as error:
            errors.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    until("the pipe has taken something", lambda: output.position > 0)
    assert os.get_blocking(pipe[1])  # the open file is the shell's as well
    output.stop()
    thread.join()
    output.close()
    assert [error.code for error in errors] == ["output-failed"]


def test_a_reader_that_has_gone_has_a_code_of_its_own(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    output = Output(pipe[1])
    with pytest.raises(SinkError) as error:
        output.write(memoryview(b"x"), 0)
    assert error.value.code == "output-closed"
    output.close()
