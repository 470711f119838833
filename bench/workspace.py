"""A directory on a real disk for images, copies and homes, removed at the end of the run in any case."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from .harness import MiB, progress

IN_MEMORY = {"tmpfs", "ramfs"}
SPARE_BYTES = 1024 * MiB


class NoSpace(Exception):
    """No place to work. The text says which places were tried, and what is needed."""


@contextlib.contextmanager
def workspace(needed: int, folder: Path | None) -> Iterator[Path]:
    """A new directory in `folder`, or in the first of the usual places with `needed` bytes free on a disk.

    It is removed at the end, also after Ctrl-C and SIGTERM. Raises NoSpace.
    """
    parent = _place(needed + SPARE_BYTES, folder)
    previous = signal.signal(signal.SIGTERM, _end)
    directory = Path(tempfile.mkdtemp(prefix="douane-bench-", dir=parent))
    try:
        yield directory
    finally:
        # a second Ctrl-C must not interrupt the deletion of gigabytes
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutil.rmtree(directory, ignore_errors=True)
        signal.signal(signal.SIGINT, ignored)
        signal.signal(signal.SIGTERM, previous)
        if directory.exists():
            progress(f"bench: {directory} could not be removed; delete it by hand")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


def _place(needed: int, folder: Path | None) -> Path:
    usual = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()]
    reasons = []
    for place in [folder] if folder is not None else usual:
        kind = file_system(place)
        free = shutil.disk_usage(place).free if place.is_dir() else 0
        if not place.is_dir():
            reasons.append(f"{place} is not a directory")
        elif kind in IN_MEMORY:
            reasons.append(f"{place} is a {kind}, which is memory")
        elif free < needed:
            reasons.append(f"{place} has {free // MiB} MiB free")
        elif not os.access(place, os.W_OK | os.X_OK):
            reasons.append(f"{place} is not writable")
        else:
            return place
    raise NoSpace(
        f"the benchmarks need {needed // MiB} MiB on a disk, but {'; '.join(reasons)}: "
        "free some space, choose another place with --dir, or use --quick"
    )


def file_system(path: Path) -> str:
    """The type of the file system that `path` is on, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    device = os.stat(path).st_dev if path.exists() else -1
    number = f"{os.major(device)}:{os.minor(device)}" if device >= 0 else ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, file_system_part = line.partition(" - ")
        if mount.split()[2] == number:
            return file_system_part.split()[0]
    return "unknown"


def random_image(path: Path, size: int) -> Path:
    """An incompressible raw image of `size` bytes, in the page cache and on the disk; made once."""
    if not path.exists():
        progress(f"  making {path.name}, {size // MiB} MiB of random bytes")
        with path.open("wb") as file:
            for at in range(0, size, MiB):
                file.write(os.urandom(min(MiB, size - at)))
            file.flush()
            os.fsync(file.fileno())
    return path


def sparse_image(path: Path, size: int, *, data_every: int = 0) -> Path:
    """A raw image of `size` bytes that is one hole, or has a MiB of random bytes after every `data_every`."""
    with path.open("wb") as file:
        file.truncate(size)
        for at in range(0, size if data_every else 0, data_every or size):
            file.seek(at)
            file.write(os.urandom(MiB))
    return path


def settle() -> None:
    """Write pending data to the disk, or the next measurement pays for the last."""
    os.sync()
