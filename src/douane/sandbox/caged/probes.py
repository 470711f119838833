"""Try what must fail, before any code of the plugin is there. Each attempt does no harm if it succeeds."""

from __future__ import annotations

import os

from .libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

REFUSED = "refused"
_AF_UNIX, _AF_INET, _SOCK_STREAM = 1, 2, 1
_F_GET_SEALS = 1034
_PROT_WRITE, _MAP_SHARED, _SIGCHLD = 2, 1, 17
_DENIALS = (1, 2, 3, 13, 30, 38)
"""EPERM, ENOENT, ESRCH (not in this namespace), EACCES, EROFS, ENOSYS."""


def attempt(spec: dict[str, Any]) -> dict[str, str]:
    """The result of every probe by its name: "refused", or what happened instead."""
    n = spec["numbers"]
    probes: dict[str, Callable[[], object]] = {
        "read /etc/passwd": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "create a file": _create,
        "internet socket": lambda: call("socket", _AF_INET, _SOCK_STREAM, 0),
        "unix socket": lambda: call("socket", _AF_UNIX, _SOCK_STREAM, 0),
        "ptrace": lambda: call("ptrace", 0, 0, 0, 0),
        "unshare": lambda: call("unshare", 0),
        "memfd_create": lambda: call("syscall", n["memfd_create"], 0, 0),
    }
    if spec["tier"] == "strict" or not spec["programs"]:
        probes["list /"] = lambda: os.listdir("/")
    if not spec["programs"]:
        probes["fork"] = lambda: _fork(n)
        probes["exec"] = lambda: call("syscall", n["execve"], 0, 0, 0)
    if spec["tier"] == "strict" or spec["landlock_signals"]:
        probes["signal the parent"] = lambda: os.kill(os.getppid(), 0)
    if spec["tier"] == "strict":
        probes["signal the engine"] = lambda: os.kill(spec["engine"], 0)
    results = {name: _outcome(probe) for name, probe in probes.items()}
    for fd in spec["keep"]:
        # What is meant to be written is no ring; on a tmpfs it can be sealed all the same, as it is memory, too.
        if fd not in spec["writable"] and _is_memfd(fd):
            results[f"map memory {fd} writable"] = _outcome(lambda fd=fd: _map(fd))  # type: ignore[misc]
            results[f"write memory {fd}"] = _write(fd)
    return results


def _outcome(probe: Callable[[], object]) -> str:
    try:
        probe()
    except OSError as error:
        if error.errno in _DENIALS:
            return REFUSED
        return f"failed for another reason: {os.strerror(error.errno or 0)}"
    return "succeeded"


def _create() -> None:
    name = f"/tmp/.douane-probe-{os.getpid()}"  # noqa: S108  # exclusive, and it must not succeed
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(name)


def _fork(numbers: dict[str, int]) -> None:
    if call("syscall", numbers["clone"], _SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def _is_memfd(fd: int) -> bool:
    try:
        call("fcntl", fd, _F_GET_SEALS, 0)
    except OSError:
        return False
    return True


def _map(fd: int) -> None:
    call("mmap", 0, 4096, _PROT_WRITE, _MAP_SHARED, fd, 0)


def _write(fd: int) -> str:
    # Not through _outcome: a descriptor open for reading says EBADF, and writing nothing at all says nothing.
    try:
        byte = os.pread(fd, 1, 0)
        os.pwrite(fd, byte, 0)
    except OSError:
        return REFUSED
    return "succeeded"
