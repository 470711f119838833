"""Who the plugin is to the kernel: a user that nobody else is."""

from __future__ import annotations

import functools
import os
import random
import stat
from collections.abc import Iterable
from pathlib import Path

from douane.errors import SandboxError

_FIRST, _LAST = 0x70000000, 0x7FFFFFFE
"""Far from any account, and from what systemd, containers and directory services hand out
(https://systemd.io/UIDS-GIDS/)."""


def fresh_uid() -> int | None:
    """A user id for one cage, or None if this process cannot become somebody else.

    Cages of different users cannot signal each other, and RLIMIT_NPROC, which the kernel counts by user,
    counts one cage alone. In a user namespace only mapped ids exist (user_namespaces(7)); there the upper
    part of the longest range is used.
    """
    if os.geteuid() != 0:
        return None
    first, last = _range()
    if last - first < 2:
        return None
    return random.SystemRandom().randrange(first, last)


@functools.cache
def _range() -> tuple[int, int]:
    spans = []
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}") as rows:
            spans.append([(int(row.split()[0]), int(row.split()[2])) for row in rows])
    common = [(max(a, b), min(a + n, b + m)) for a, n in spans[0] for b, m in spans[1] if max(a, b) < min(a + n, b + m)]
    if any(low <= _FIRST and high > _LAST for low, high in common):
        return _FIRST, _LAST
    low, high = max(common, key=lambda span: span[1] - span[0], default=(0, 0))
    low = max(low + (high - low) * 3 // 4, 1000)
    return (low, high - 1) if high - 1 > low else (0, 0)


def is_public(paths: Iterable[Path], *, parents: bool = True) -> bool:
    """True if any user can read `paths`; without `parents`, once somebody has led them there."""
    seen: set[str] = set()
    for path in paths:
        try:
            real = os.path.realpath(path)
            mode = os.stat(real).st_mode
        except OSError:
            continue  # not there: nothing to read
        if not mode & stat.S_IROTH or (stat.S_ISDIR(mode) and not mode & stat.S_IXOTH):
            return False
        for folder in _above(str(path), real) if parents else ():
            if folder in seen:
                continue
            seen.add(folder)
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return False
    return True


def check_executable(name: str, program: Path) -> None:
    """Raises SandboxError if a user of its own could not execute `program` for the plugin `name`."""
    if not program.stat().st_mode & stat.S_IXOTH:
        raise SandboxError(
            f"{name}: {program} can only be executed by its owner, and a plugin runs as a user of its own: "
            f"run `chmod o+rx {program}`"
        )


def _above(*paths: str) -> Iterable[str]:
    for path in paths:
        at = path
        while (parent := os.path.dirname(at)) != at:
            yield parent
            at = parent


@functools.cache
def tasks_of_user() -> int:
    """Threads that this process's user runs on the whole machine, counted once."""
    me = os.geteuid()
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == me:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue  # ended meanwhile
    return count
