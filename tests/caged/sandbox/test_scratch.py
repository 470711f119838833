"""The scratch file: a plugin can write it up to its bound, and nothing else."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import sandbox
from support.sandbox.process import Cell

MIB = 1 << 20
BOUNDS = sandbox.Bounds(file_bytes=4 * MIB, temporary_bytes=4 * MIB)
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
DENIED = (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS, errno.ENOENT, errno.EXDEV)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[int]:
    """A scratch file as the engine makes it."""
    fd = os.open(tmp_path, os.O_RDWR | os.O_TMPFILE | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o666)
    yield fd
    os.close(fd)


def test_the_file_can_be_written_up_to_its_bound(tier: sandbox.Tier, scratch: int) -> None:
    with Cell(tier, bounds=BOUNDS, writable=[scratch]) as cell:
        assert cell.returned("put", scratch, 0, 4096) == 4096
        assert cell.returned("put", scratch, 4 * MIB - 10, 10) == 10
        assert cell.refused("put", scratch, 4 * MIB, 1) == errno.EFBIG
        assert cell.refused("cut", scratch, 4 * MIB + 1) == errno.EFBIG
        cell.returned("cut", scratch, 8192)
    assert os.fstat(scratch).st_size == 8192
    assert os.pread(scratch, 2, 4095) == b"x\0"


def test_space_can_be_freed_and_not_allocated_past_the_bound(tier: sandbox.Tier, scratch: int) -> None:
    with Cell(tier, bounds=BOUNDS, writable=[scratch]) as cell:
        cell.returned("put", scratch, 0, MIB)
        blocks = os.fstat(scratch).st_blocks
        cell.returned("allocate_file", scratch, KEEP_SIZE | PUNCH_HOLE, 0, MIB)
        assert os.fstat(scratch).st_blocks < blocks
        for mode in (0, KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE):
            assert cell.refused("allocate_file", scratch, mode, 64 * MIB, MIB) in DENIED
    assert os.fstat(scratch).st_blocks < MIB // 512


def test_a_program_can_write_the_file(tier: sandbox.Tier, scratch: int, tmp_path: Path) -> None:
    program = Path(shutil.which("dd") or "dd")
    with Cell(tier, bounds=BOUNDS, writable=[scratch], programs=(program,)) as cell:
        words = ["if=/dev/urandom", f"of=/proc/self/fd/{scratch}", "bs=4096", "count=2", "status=none"]
        cell.returned("run_with", [scratch], str(program), *words)
    assert os.fstat(scratch).st_size == 8192


def test_the_file_gives_no_other_access(tier: sandbox.Tier, scratch: int, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    path = tmp_path / "other"
    path.write_bytes(b"other")
    path.chmod(0o666)
    readable = os.open(path, os.O_RDONLY)
    try:
        with Cell(tier, bounds=BOUNDS, writable=[scratch], readable=[readable]) as cell:
            assert cell.refused("name_file", scratch, str(tmp_path / "name")) in DENIED
            assert cell.refused("write_again", readable, os.O_WRONLY) in DENIED
            assert cell.refused("write_again", readable, os.O_RDWR) in DENIED
            assert cell.refused("cut", readable, 0) in (errno.EINVAL, errno.EBADF, *DENIED)
            mode = os.fstat(scratch).st_mode
            cell.ask("change_mode", scratch, 0o777)
            assert os.fstat(scratch).st_mode == mode
            assert cell.returned("change", str(path)) == []
            assert cell.refused("execute_fd", scratch) in DENIED
    finally:
        os.close(readable)
    assert path.read_bytes() == b"other"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other"]


def test_the_file_gives_a_program_no_other_access(tier: sandbox.Tier, scratch: int, tmp_path: Path) -> None:
    program = Path(shutil.which("dd") or "dd")
    tmp_path.chmod(0o777)
    with Cell(tier, bounds=BOUNDS, writable=[scratch], programs=(program,)) as cell:
        os.pwrite(scratch, program.read_bytes(), 0)
        assert cell.refused("execute_fd", scratch) in DENIED
        assert cell.refused("write_again", cell.channel.fileno(), os.O_WRONLY) >= 0
        words = ["if=/dev/zero", f"of={tmp_path}/out", "bs=1", "count=1", "status=none"]
        cell.ask("run_with", [scratch], str(program), *words)
    assert list(tmp_path.iterdir()) == []


def test_without_a_scratch_file_nothing_can_be_written(tier: sandbox.Tier, scratch: int) -> None:
    with Cell(tier, bounds=sandbox.Bounds(temporary_bytes=0), keep=[scratch]) as cell:
        assert cell.refused("put", scratch, 0, 1) == errno.EFBIG
        assert cell.refused("cut", scratch, 0) in DENIED
        assert cell.refused("allocate_file", scratch, KEEP_SIZE | PUNCH_HOLE, 0, 4096) in DENIED


def test_a_scratch_file_must_have_no_name(tmp_path: Path) -> None:
    path = tmp_path / "named"
    path.touch()
    for fd in (os.open(path, os.O_RDWR), os.memfd_create("x")):
        with pytest.raises(sandbox.SandboxError, match="without a name"):
            Cell(sandbox.Tier.STRICT, bounds=BOUNDS, writable=[fd])
        os.close(fd)
