"""Find the cgroup that Douane may divide: the one it was started in, if its manager has delegated it.

systemd calls this `Delegate=yes` (https://systemd.io/CGROUP_DELEGATION/). The cgroup becomes the base. In cgroup v2 a
cgroup has either processes or controllers, so this process moves to `douane-engine` below the base, and each sandbox
gets a leaf beside it. The layer is optional: if a step fails, nothing is changed, and the other layers remain.
"""

from __future__ import annotations

import contextlib
import os
import threading

import msgspec

from douane.units import number_of

from .cgroup import Base, write

CONTROLLERS = ("memory", "pids")
ENGINE = "douane-engine"
_SYSTEMD = "/run/systemd/system"
"""Exists if systemd manages this host or container (sd_booted(3))."""

_MARKS = ("user.delegate", "trusted.delegate")
"""Extended attributes that systemd sets to 1 on a delegated cgroup: since 251, and one that only root can read."""

REMEDY = (
    "to get it: `systemd-run --scope -p Delegate=yes douane …` (with --user for an ordinary user), or "
    "`Delegate=yes` and `DelegateSubgroup=douane-engine` in a unit"
)


class Absent(msgspec.Struct, frozen=True):
    """No cgroup is delegated."""

    reason: str


_lock = threading.Lock()
_bases: dict[int, Base | Absent] = {}
"""By pid: a forked process looks again."""


def delegated() -> Base | Absent:
    """The cgroup that is delegated to this process.

    The first call moves the process, with all threads, to `douane-engine`, enables the controllers, and removes what
    killed engines left.
    """
    with _lock:
        pid = os.getpid()
        if pid not in _bases:
            try:
                _bases[pid] = claim(current_cgroup())
            except (OSError, ValueError) as error:
                _bases[pid] = Absent(str(error))
        return _bases[pid]


def current_cgroup() -> str:
    """The folder of this process's cgroup (cgroups(7)). Raises OSError, or ValueError if it is not visible here."""
    with open("/proc/self/cgroup") as rows:
        path = next((row[3:].rstrip("\n") for row in rows if row.startswith("0::")), "")
    with open("/proc/self/mountinfo") as rows:
        for row in rows:
            head, _, tail = row.partition(" - ")
            if tail.split()[0] != "cgroup2":
                continue
            root, point = map(_unescaped, head.split()[3:5])
            inside = os.path.relpath(path, root) if path else ".."
            if inside.split("/")[0] != "..":
                return os.path.normpath(os.path.join(point, inside))
    raise ValueError("Douane's own cgroup is not below a mount of cgroup v2")


def _unescaped(word: str) -> str:
    """A path of /proc/self/mountinfo without its escapes, `\\` and three octal digits."""
    first, *parts = word.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)


def claim(folder: str, controllers: tuple[str, ...] = CONTROLLERS) -> Base | Absent:
    """Make a base of `folder`, the current cgroup. If that is a `douane-engine`, which another engine or systemd
    created, the base is the folder above.

    Only if this process is alone in the cgroup: other processes (a shell in its session, say) are not ours to move, and
    a cgroup that has processes cannot be divided.
    """
    parent = os.path.dirname(folder)
    inside = os.path.basename(folder) == ENGINE and not _obstacle(parent, controllers)
    folder = parent if inside else folder
    if obstacle := _obstacle(folder, controllers):
        return Absent(obstacle)
    pid = os.getpid()
    neighbours = [neighbour for neighbour in _read(f"{folder}/cgroup.procs").split() if int(neighbour) != pid]
    if neighbours:
        more = number_of(len(neighbours), "more process", "more processes")
        return Absent(f"{folder} holds {more}, and Douane must be alone in it")
    engine = f"{folder}/{ENGINE}"
    try:
        if not inside:
            with contextlib.suppress(FileExistsError):
                os.mkdir(engine, 0o755)
            write(f"{engine}/cgroup.procs", str(pid))
        control = f"{folder}/cgroup.subtree_control"
        if lacking := set(controllers) - set(_read(control).split()):
            # Refused if a process has joined meanwhile. Then the base and this process go back to what they were.
            write(control, " ".join(f"+{name}" for name in sorted(lacking)))
    except OSError as error:
        if not inside:
            with contextlib.suppress(OSError):
                write(f"{folder}/cgroup.procs", str(pid))
            with contextlib.suppress(OSError):
                os.rmdir(engine)
        return Absent(f"{folder} could not be divided: {error.strerror}")
    base = Base(folder)
    base.clear()
    return base


def _obstacle(folder: str, controllers: tuple[str, ...]) -> str:
    """Why `folder` cannot be a base; empty if it can."""
    kind = _read(f"{folder}/cgroup.type").strip()
    if not kind:
        return "Douane runs in the root cgroup, which cannot be delegated"  # only the root has no such file
    if kind != "domain":
        return f"{folder} is a threaded cgroup"
    if not _is_delegated(folder):
        return f"{folder} has another manager, who has not delegated it"
    if lacking := set(controllers) - set(_read(f"{folder}/cgroup.controllers").split()):
        return f"{folder} does not have the controllers {', '.join(sorted(lacking))}"
    for path in (folder, f"{folder}/cgroup.procs", f"{folder}/cgroup.subtree_control"):
        if not os.access(path, os.W_OK, effective_ids=True):
            return f"{path} is not writable"
    return ""


def _is_delegated(folder: str) -> bool:
    """Tell if the cgroup was handed over. Write access is not enough: root can write everywhere, and a user everywhere
    below user@.service. systemd may change a cgroup that it has not delegated, and the bounds would be lost."""
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(folder, mark) == b"1":
                return True
    if os.path.ismount(folder) or not os.path.exists(_SYSTEMD):
        return True  # the container's own cgroup, or a host without another manager
    uid, owner_above = os.geteuid(), os.stat(os.path.dirname(folder)).st_uid
    return uid not in (0, owner_above) and os.stat(folder).st_uid == uid  # a more privileged user handed it over


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""
