"""Try what must fail, before the plugin's code is loaded. An attempt that succeeds does no harm."""

from __future__ import annotations

import errno
import os

from .libc import call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .launch_spec import LaunchSpec

REFUSED = "refused"
_AF_UNIX, _AF_INET, _SOCK_STREAM = 1, 2, 1
_F_GET_SEALS = 1034
_PROT_WRITE, _MAP_SHARED, _SIGCHLD = 2, 1, 17
_DENIALS = (1, 2, 3, 13, 30, 38)
"""EPERM, ENOENT, ESRCH (not in this namespace), EACCES, EROFS, ENOSYS."""


def attempt(spec: LaunchSpec, isolated: bool) -> dict[str, str]:
    """The result of every probe by name: "refused", or what happened instead. `isolated`: signals stay inside."""
    n = spec["numbers"]
    probes: dict[str, Callable[[], object]] = {
        "read the host's accounts": _read_accounts,
        "create a file": lambda: _create("/" if spec["tier"] == "full" else "/tmp/"),  # noqa: S108
        "internet socket": lambda: call("socket", _AF_INET, _SOCK_STREAM, 0),
        "unix socket": _connect_elsewhere if spec["calls"] >= 0 else lambda: call("socket", _AF_UNIX, _SOCK_STREAM, 0),
        "ptrace": lambda: call("ptrace", 0, 0, 0, 0),
        "unshare": lambda: call("unshare", 0),
        "memfd_create": lambda: call("syscall", n["memfd_create"], 0, 0),
    }
    if spec["tier"] == "strict" or not spec["programs"]:
        probes["list /"] = lambda: os.listdir("/")
    if not spec["forks"]:
        probes["fork"] = lambda: _fork(n)
    if not spec["programs"]:
        probes["exec"] = lambda: call("syscall", n["execve"], 0, 0, 0)
    if spec["tier"] == "strict" or isolated:
        probes["signal the parent"] = lambda: os.kill(os.getppid(), 0)
    if spec["tier"] == "strict":
        probes["signal the engine"] = lambda: os.kill(spec["engine"], 0)
    results = {name: _outcome(probe) for name, probe in probes.items()}
    for fd in spec["keep"]:
        # A writable file is no ring; on tmpfs it can have seals as well, because it is memory.
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


def _read_accounts() -> None:
    with open("/etc/passwd", "rb") as file:
        if file.read(7) == b"plugin:":
            raise PermissionError(errno.EACCES, "these are the sandbox's own")


def _create(folder: str) -> None:
    name = f"{folder}.douane-probe-{os.getpid()}"
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.unlink(name)


def _connect_elsewhere() -> None:
    """The engine refuses it with EPERM. The kernel would look for the path, and answer ENOENT."""
    fd = call("socket", _AF_UNIX, _SOCK_STREAM, 0)
    try:
        call("connect", fd, b"\1\0/nowhere/socket\0", 18)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
        text = f"the engine does not decide about connect(2): {os.strerror(error.errno or 0)}"
        raise RuntimeError(text) from error
    finally:
        os.close(fd)


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
    # Not by _outcome: a descriptor that is open for reading fails with EBADF, and writing no bytes proves nothing.
    try:
        byte = os.pread(fd, 1, 0)
        os.pwrite(fd, byte, 0)
    except OSError:
        return REFUSED
    return "succeeded"
