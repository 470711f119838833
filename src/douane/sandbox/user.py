"""The user id of a sandbox: one that no other process has."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterable

from douane.errors import SandboxError

_FIRST, _LAST = 0x70000000, 0x7FFFFFFE
"""Far from any account, and from what systemd, containers and directory services assign
(https://systemd.io/UIDS-GIDS/)."""


def fresh_uid() -> int | None:
    """A user id for one sandbox; None if this process cannot change its user.

    Sandboxes of different users cannot signal each other, and RLIMIT_NPROC, which the kernel counts by user, counts one
    sandbox alone. In a user namespace only mapped ids exist (user_namespaces(7)); there the upper part of the longest
    range is used.
    """
    if os.geteuid() != 0:
        return None
    first, last = _range()
    if last - first < 2:
        return None
    return first + int.from_bytes(os.urandom(8), "little") % (last - first)


def is_fresh(uid: int) -> bool:
    """True if `uid` can be the user of a sandbox."""
    first, last = _range()
    return first <= uid <= last


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


def is_public(paths: Iterable[str], *, parents: bool = True) -> bool:
    """Tell if any user can read `paths`; without `parents`, if any user who is already in their folders can."""
    checked: set[str] = set()
    for path in paths:
        try:
            real = os.path.realpath(path)
            mode = os.stat(real).st_mode
        except OSError:
            continue  # a path that does not exist has nothing to read
        if not mode & stat.S_IROTH or (stat.S_ISDIR(mode) and not mode & stat.S_IXOTH):
            return False
        for folder in _folders_of(path, real) if parents else ():
            if folder in checked:
                continue
            checked.add(folder)
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return False
    return True


def check_executable(name: str, program: str) -> None:
    """Raise SandboxError if a user of its own could not execute `program` for the plugin `name`."""
    if not os.stat(program).st_mode & stat.S_IXOTH:
        raise SandboxError(
            f"{name}: {program} can only be executed by its owner, and a plugin runs as a user of its own: "
            f"run `chmod o+rx {program}`"
        )


def _folders_of(*paths: str) -> Iterable[str]:
    """The folders that lead to `paths`."""
    for path in paths:
        folder = path
        while (parent := os.path.dirname(folder)) != folder:
            yield parent
            folder = parent


@functools.cache
def tasks_of_user() -> int:
    """Threads of this process's user on the whole host, counted once."""
    me = os.geteuid()
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == me:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue  # the process has ended
    return count
