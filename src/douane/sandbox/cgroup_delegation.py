"""Which cgroup may Douane divide? The one it was started in, if whoever manages that has handed it over.

systemd calls it `Delegate=yes` (https://systemd.io/CGROUP_DELEGATION/). The cgroup we were started in becomes the
base. In cgroup v2 processes and controllers do not go together in one cgroup, so this process moves to
`douane-engine` below it, and each cage gets a leaf beside that. An optional layer: wherever a step fails, nothing is
changed, and the cage keeps its other layers.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from .cgroup import Base, write

CONTROLLERS = ("memory", "pids")
ENGINE = "douane-engine"
_SYSTEMD = Path("/run/systemd/system")
"""There where systemd manages this machine, or this container (sd_booted(3))."""

_MARKS = ("user.delegate", "trusted.delegate")
"""Extended attributes that systemd sets to 1 on what it delegates: since 251, and one that only root can read."""

REMEDY = (
    "to get it: `systemd-run --scope -p Delegate=yes douane …` (with --user for an ordinary user), or "
    "`Delegate=yes` and `DelegateSubgroup=douane-engine` in a unit"
)


@dataclass(frozen=True)
class Absent:
    """No cgroup is delegated, and this is why."""

    reason: str


_lock = threading.Lock()
_found: dict[int, Base | Absent] = {}


def delegated() -> Base | Absent:
    """The cgroup that is delegated to this process. The first call moves it to `douane-engine`, with all its
    threads, enables the controllers, and clears up after engines that were killed."""
    with _lock:
        me = os.getpid()
        if me not in _found:
            try:
                _found[me] = claim(own())
            except (OSError, ValueError) as error:
                _found[me] = Absent(str(error))
        return _found[me]


def own() -> Path:
    """The folder of our own cgroup (cgroups(7)). Raises ValueError if it cannot be seen from here, OSError."""
    with open("/proc/self/cgroup") as rows:
        path = next((row[3:].rstrip("\n") for row in rows if row.startswith("0::")), "")
    with open("/proc/self/mountinfo") as rows:
        for row in rows:
            head, _, tail = row.partition(" - ")
            if tail.split()[0] != "cgroup2":
                continue
            root, point = (re.sub(r"\\([0-7]{3})", _octal, word) for word in head.split()[3:5])
            inside = os.path.relpath(path, root) if path else ".."
            if inside.split("/")[0] != "..":
                return Path(os.path.normpath(os.path.join(point, inside)))
    raise ValueError("Douane's own cgroup is not below a mount of cgroup v2")


def _octal(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def claim(folder: Path, controllers: tuple[str, ...] = CONTROLLERS) -> Base | Absent:
    """Make a base of `folder`, our own cgroup, or of the one above it if it is a `douane-engine`: then another engine
    has divided that already, or systemd has put us there.

    Only where this process is alone in it: what else is there (a shell in its session, say) is not ours to move, and
    no cgroup with processes of its own can be divided.
    """
    inside = folder.name == ENGINE and not _obstacle(folder.parent, controllers)
    folder = folder.parent if inside else folder
    if obstacle := _obstacle(folder, controllers):
        return Absent(obstacle)
    me = os.getpid()
    others = [pid for pid in _read(folder / "cgroup.procs").split() if int(pid) != me]
    if others:
        return Absent(f"{folder} holds {len(others)} more processes, and Douane must be alone in it")
    engine = folder / ENGINE
    try:
        if not inside:
            with contextlib.suppress(FileExistsError):
                os.mkdir(engine, 0o755)
            write(engine / "cgroup.procs", str(me))
        control = folder / "cgroup.subtree_control"
        if lacking := set(controllers) - set(_read(control).split()):
            # Refused if a process has come meanwhile: then the base is as it was, and so is this process.
            write(control, " ".join(f"+{name}" for name in sorted(lacking)))
    except OSError as error:
        if not inside:
            with contextlib.suppress(OSError):
                write(folder / "cgroup.procs", str(me))
            with contextlib.suppress(OSError):
                os.rmdir(engine)
        return Absent(f"{folder} could not be divided: {error.strerror}")
    base = Base(folder)
    base.clear()
    return base


def _obstacle(folder: Path, controllers: tuple[str, ...]) -> str:
    """Why `folder` cannot be a base; empty if it can."""
    kind = _read(folder / "cgroup.type").strip()
    if not kind:
        return "Douane runs in the root cgroup, which cannot be delegated"  # which alone has no such file
    if kind != "domain":
        return f"{folder} is a threaded cgroup"
    if not _is_handed_over(folder):
        return f"{folder} is managed by somebody else, who has not delegated it"
    if lacking := set(controllers) - set(_read(folder / "cgroup.controllers").split()):
        return f"{folder} does not have the controllers {', '.join(sorted(lacking))}"
    for path in (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control"):
        if not os.access(path, os.W_OK, effective_ids=True):
            return f"{path} cannot be written"
    return ""


def _is_handed_over(folder: Path) -> bool:
    """Being able to write is not enough: root can write everywhere, and a user everywhere below user@.service. systemd
    changes what it has not delegated at any time, and the bounds would be gone without a word."""
    for mark in _MARKS:
        with contextlib.suppress(OSError):
            if os.getxattr(folder, mark) == b"1":
                return True
    if os.path.ismount(folder) or not _SYSTEMD.exists():
        return True  # a container's own; or nobody else is there who manages it
    me, above = os.geteuid(), folder.parent.stat().st_uid
    return me not in (0, above) and folder.stat().st_uid == me  # somebody mightier has given it to us


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
