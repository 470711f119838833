"""The filter alone, without the other layers: what it refuses on kernels whose Landlock does not."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from douane.sandbox.caged import layers
from douane.sandbox.seccomp import filter_program, numbers
from douane.sandbox.syscalls import Permissions


def errno_inside(attempt: Callable[[], object], *, programs: bool) -> int:
    """The errno of `attempt` in a child under the filter; 0 if it succeeds."""
    program = filter_program(Permissions(forks=programs, programs=programs))
    known = numbers()
    child = os.fork()
    if not child:
        code = 255
        try:
            layers.call("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
            layers.seccomp(known, program)
            attempt()
            code = 0
        except OSError as error:
            code = error.errno or 254
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of this user's."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("mode", [os.O_RDONLY, 0o3], ids=["read-only", "both bits"])
def test_a_file_cannot_be_truncated_without_being_opened_for_writing(file: Path, mode: int) -> None:
    for programs in (True, False):
        assert errno_inside(lambda: os.open(file, mode | os.O_TRUNC), programs=programs) == errno.EACCES
    assert file.read_bytes() == b"content"


def test_programs_may_open_for_writing_as_the_other_layers_allow() -> None:
    for flags in (
        os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
        os.O_RDWR | os.O_TRUNC,
        os.O_WRONLY | os.O_APPEND,
        os.O_RDONLY,
    ):
        assert errno_inside(lambda flags=flags: os.open("/dev/null", flags), programs=True) == 0


@pytest.mark.parametrize("operation", [fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_EX | fcntl.LOCK_NB])
def test_no_file_can_be_locked_for_others(file: Path, operation: int) -> None:
    with file.open("rb") as opened:
        for programs in (True, False):
            assert errno_inside(lambda: fcntl.flock(opened, operation), programs=programs) == errno.ENOLCK


def test_a_process_may_lower_its_stack_limit_and_no_other() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    lower = (1 << 20, hard)
    assert errno_inside(lambda: resource.setrlimit(resource.RLIMIT_STACK, lower), programs=True) == 0
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE):
        attempt = functools.partial(resource.setrlimit, limit, resource.getrlimit(limit))
        assert errno_inside(attempt, programs=True) != 0
    engine = os.getpid()
    assert errno_inside(lambda: resource.prlimit(engine, resource.RLIMIT_STACK, (soft, hard)), programs=True) != 0
