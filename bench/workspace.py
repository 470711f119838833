"""A directory on a real disk for images, copies and homes, that is gone when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from .harness import MiB, tell

IN_MEMORY = {"tmpfs", "ramfs"}
SPARE_BYTES = 1024 * MiB


class NoSpace(Exception):
    """Nowhere to work; the text says where was looked and what is needed."""


@contextlib.contextmanager
def workspace(needed: int, wanted: Path | None) -> Iterator[Path]:
    """A fresh directory in `wanted`, or in the first of the usual places with `needed` bytes free on a disk.

    Removed at the end, also after Ctrl-C and SIGTERM. Raises NoSpace.
    """
    parent = _place(needed + SPARE_BYTES, wanted)
    before = signal.signal(signal.SIGTERM, _end)
    directory = Path(tempfile.mkdtemp(prefix="douane-bench-", dir=parent))
    try:
        yield directory
    finally:
        # A second Ctrl-C while gigabytes are being deleted must not leave half of them.
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutil.rmtree(directory, ignore_errors=True)
        signal.signal(signal.SIGINT, ignored)
        signal.signal(signal.SIGTERM, before)
        if directory.exists():
            tell(f"bench: {directory} could not be removed; delete it by hand")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


def _place(needed: int, wanted: Path | None) -> Path:
    usual = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()]
    reasons = []
    for place in [wanted] if wanted is not None else usual:
        kind = file_system(place)
        free = shutil.disk_usage(place).free if place.is_dir() else 0
        if not place.is_dir():
            reasons.append(f"{place} is no directory")
        elif kind in IN_MEMORY:
            reasons.append(f"{place} is a {kind}, which is memory and no disk")
        elif free < needed:
            reasons.append(f"{place} has {free // MiB} MiB free")
        elif not os.access(place, os.W_OK | os.X_OK):
            reasons.append(f"{place} cannot be written")
        else:
            return place
    raise NoSpace(
        f"the benchmarks need {needed // MiB} MiB on a disk, and {'; '.join(reasons)}: "
        "free some space, choose another place with --dir, or use --quick"
    )


def file_system(path: Path) -> str:
    """The type of the file system that `path` is on, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    device = os.stat(path).st_dev if path.exists() else -1
    number = f"{os.major(device)}:{os.minor(device)}" if device >= 0 else ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == number:
            return after.split()[0]
    return "unknown"


def random_image(path: Path, size: int) -> Path:
    """A raw image of `size` bytes that nothing compresses, in the page cache and on the disk; made once."""
    if not path.exists():
        tell(f"  making {path.name}, {size // MiB} MiB of random bytes")
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
    """Bring to the disk what is still on its way, or the next measurement pays for the last one."""
    os.sync()
