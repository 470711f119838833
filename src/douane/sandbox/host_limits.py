"""Limits of the shell that started Douane (ulimit, setrlimit(2)): refuse those that are too low for a sandbox."""

from __future__ import annotations

import errno
import os
import resource

from douane.errors import SandboxError

from . import user

_MiB = 1 << 20
_OPEN_FILES = 64
"""Descriptors of an engine with one plugin, with some to spare."""

OPEN_FILES_A_START = 24
"""Descriptors that building one sandbox may open."""

_MEMORY = 256 * _MiB
"""The engine's shared memory and the stacks of its threads. A plugin's process inherits the limit."""

_FILE_SIZE = 16 * _MiB
"""Shared memory counts as a file for this limit."""

_TASKS = 32
"""Processes and threads of the engine and one plugin."""

_COUNT_BELOW = 8192
"""With a higher limit, the tasks that the user already runs are not counted."""


def check() -> None:
    """Raise SandboxError, with a sentence that names the limit, if this process could not build or use a sandbox."""
    for option, limit, minimum, unit, noun in (
        ("-n", resource.RLIMIT_NOFILE, _OPEN_FILES, 1, "descriptors"),
        ("-v", resource.RLIMIT_AS, _MEMORY, 1024, "KiB of address space"),
        ("-d", resource.RLIMIT_DATA, _MEMORY, 1024, "KiB of memory"),
        ("-f", resource.RLIMIT_FSIZE, _FILE_SIZE, 1024, "KiB in one file, or in shared memory"),
        ("-u", resource.RLIMIT_NPROC, _min_tasks, 1, "processes and threads"),
    ):
        allowed = resource.getrlimit(limit)[0]
        if allowed == resource.RLIM_INFINITY:
            continue
        needed = minimum if isinstance(minimum, int) else minimum(allowed)
        if allowed < needed:
            raise SandboxError(_sentence(option, allowed // unit, needed // unit, noun))


def check_descriptors(name: str, fd: int) -> None:
    """Raise SandboxError if too few descriptors above the new `fd` are left to build the sandbox `name`."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY and fd + OPEN_FILES_A_START > allowed:
        needed = max(_OPEN_FILES, 2 * (fd + OPEN_FILES_A_START))
        raise SandboxError(f"{name}: {_sentence('-n', allowed, needed, 'descriptors')}")


def explain(error: OSError) -> str:
    """What the operator can do about an `error` in starting a process; empty if no limit was the cause."""
    if error.errno == errno.EMFILE:
        return f"Douane may not open more descriptors (`ulimit -n` is {_current(resource.RLIMIT_NOFILE)}): raise it"
    if error.errno == errno.EAGAIN:
        return f"no more processes may be started (`ulimit -u` is {_current(resource.RLIMIT_NPROC)}): raise it"
    if error.errno == errno.ENOMEM:
        return f"no memory is left for a process (`ulimit -v` is {_current(resource.RLIMIT_AS)})"
    if error.errno == errno.ENFILE:
        return "this host may not open more files: raise the sysctl fs.file-max"
    return ""


def _min_tasks(allowed: int) -> int:
    if os.geteuid() == 0:  # the limit does not count for root, but for the sandbox's own user
        return _TASKS
    return _TASKS + (user.tasks_of_user() if allowed < _COUNT_BELOW else 0)


def _sentence(option: str, allowed: int, needed: int, noun: str) -> str:
    return (
        f"`ulimit {option}` is {allowed} ({noun}), and Douane needs at least {needed}: run `ulimit {option} {needed}` "
        "before it in the same shell, or raise the hard limit (limits.conf(5); in a systemd unit, its Limit… setting)"
    )


def _current(limit: int) -> str:
    allowed = resource.getrlimit(limit)[0]
    return "unlimited" if allowed == resource.RLIM_INFINITY else str(allowed)
