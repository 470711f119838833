"""Limits of the shell that started Douane (ulimit, setrlimit(2)), which are too low for it to work."""

from __future__ import annotations

import errno
import os
import resource

from douane.errors import SandboxError

from . import user as identity

_MiB = 1 << 20
_OPEN_FILES = 64
"""What an engine with one plugin has open, and then some."""

OPEN_FILES_A_START = 24
"""What may be opened while one cage is built."""

_MEMORY = 256 * _MiB
"""The engine's shared memory, and stacks of its threads; and a plugin's process inherits the limit."""

_FILE_SIZE = 16 * _MiB
"""Shared memory, too, is a file as far as this limit goes."""

_TASKS = 32
"""Processes and threads of the engine and one plugin."""

_COUNT_BELOW = 8192
"""With more than that allowed it is not worth counting what the user runs already."""


def check() -> None:
    """Raises SandboxError, a sentence that names the limit, if this process could not build a cage or use it."""
    for option, limit, needed, unit, what in (
        ("-n", resource.RLIMIT_NOFILE, _OPEN_FILES, 1, "descriptors"),
        ("-v", resource.RLIMIT_AS, _MEMORY, 1024, "KiB of address space"),
        ("-d", resource.RLIMIT_DATA, _MEMORY, 1024, "KiB of memory"),
        ("-f", resource.RLIMIT_FSIZE, _FILE_SIZE, 1024, "KiB in one file, or in shared memory"),
        ("-u", resource.RLIMIT_NPROC, _tasks, 1, "processes and threads"),
    ):
        allowed = resource.getrlimit(limit)[0]
        if allowed == resource.RLIM_INFINITY:
            continue
        wanted = needed if isinstance(needed, int) else needed(allowed)
        if allowed < wanted:
            raise SandboxError(_sentence(option, allowed // unit, wanted // unit, what))


def check_descriptors(name: str, fd: int) -> None:
    """Raises SandboxError if, with `fd` just opened, too few descriptors are left to build the cage `name`."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY and fd + OPEN_FILES_A_START > allowed:
        wanted = max(_OPEN_FILES, 2 * (fd + OPEN_FILES_A_START))
        raise SandboxError(f"{name}: {_sentence('-n', allowed, wanted, 'descriptors')}")


def explain(error: OSError) -> str:
    """What the operator can do about an `error` in starting a process; empty if it is not for want of something."""
    if error.errno == errno.EMFILE:
        return f"Douane may not open more descriptors (`ulimit -n` is {_shown(resource.RLIMIT_NOFILE)}): raise it"
    if error.errno == errno.EAGAIN:
        return f"no more processes may be started (`ulimit -u` is {_shown(resource.RLIMIT_NPROC)}): raise it"
    if error.errno == errno.ENOMEM:
        return f"there is no memory left for a process (`ulimit -v` is {_shown(resource.RLIMIT_AS)})"
    if error.errno == errno.ENFILE:
        return "this machine may not open more files: raise the sysctl fs.file-max"
    return ""


def _tasks(allowed: int) -> int:
    if os.geteuid() == 0:  # exempt; but the cage's own user is not
        return _TASKS
    return _TASKS + (identity.tasks_of_user() if allowed < _COUNT_BELOW else 0)


def _sentence(option: str, allowed: int, wanted: int, what: str) -> str:
    return (
        f"`ulimit {option}` is {allowed} ({what}), and Douane needs at least {wanted}: run `ulimit {option} {wanted}` "
        "before it in the same shell, or raise the hard limit (limits.conf(5); in a systemd unit, its Limit… setting)"
    )


def _shown(limit: int) -> str:
    allowed = resource.getrlimit(limit)[0]
    return "unlimited" if allowed == resource.RLIM_INFINITY else str(allowed)
