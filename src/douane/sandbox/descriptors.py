"""The descriptors of a sandbox: only those that lead nowhere else may be handed in."""

from __future__ import annotations

import fcntl
import functools
import os
import socket
import stat
from collections.abc import Iterable

import msgspec

from douane.errors import SandboxError

_STREAMS = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
_SO_PASSRIGHTS = 83
"""asm-generic/socket.h, since Linux 6.16; not in the socket module."""

_SEALED = 0x0008 | 0x0010  # F_SEAL_WRITE, F_SEAL_FUTURE_WRITE (fcntl(2))


class Descriptors(msgspec.Struct, frozen=True):
    """What the new process inherits; `spawn.start` explains the fields."""

    channel: int
    keep: tuple[int, ...]
    readable: tuple[int, ...]
    writable: tuple[int, ...]
    stdin: int | None
    stdout: int
    stderr: int
    calls: int | None = None

    def check(self) -> None:
        """Raise SandboxError for a descriptor that leads elsewhere; protect `readable` memory against writing."""
        check_grants(self.keep)
        for fd in self.readable:
            _protect(fd)
        for fd in self.writable:
            _check_scratch(fd)

    @property
    def handed(self) -> tuple[int, ...]:
        """All but the channel and the standard streams, in order."""
        return tuple(sorted({*self.keep, *self.readable, *self.writable}))


def refuse_descriptors(channel: socket.socket) -> bool:
    """Have the kernel refuse descriptors that the peer of `channel` sends (SCM_RIGHTS); False before Linux 6.16.

    Descriptors that the engine received would be closed in its loop, and closing can block: a TCP socket with SO_LINGER
    waits for its peer (socket(7)). On an older kernel no plugin may call sendmsg(2).
    """
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
    except OSError:
        return False
    return True


@functools.cache
def can_refuse_descriptors() -> bool:
    """True if :func:`refuse_descriptors` works on this kernel."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return refuse_descriptors(probe)


def check_grants(fds: Iterable[int]) -> None:
    """Raise SandboxError for a descriptor that leads elsewhere."""
    for fd in fds:
        _check_grant(fd)


def _check_grant(fd: int) -> None:
    """Raise SandboxError for a socket that could send to others than its peer."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return
    with socket.socket(fileno=os.dup(fd)) as granted:
        if granted.type not in _STREAMS:
            raise SandboxError("a granted socket must be a stream: a datagram socket can send to anybody")


def _protect(fd: int) -> None:
    """Make sure that the file of `fd` can be opened again for reading only.

    Landlock guards files on disk. Memory (memfd_create(2)) has no path that a rule could name; its mode and its seals
    guard it. Raises SandboxError if the memory has no seals.
    """
    if not os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
        return  # a file; on tmpfs a file has seals as well, but also a path
    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    if not seals & _SEALED:
        raise SandboxError("memory that a plugin may open again must be sealed against writing")
    os.fchmod(fd, 0o444)


def _check_scratch(fd: int) -> None:
    """Raise SandboxError unless `fd` is a regular file without a name, which nobody else can open."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink or os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
        raise SandboxError("a file that a plugin may write is a regular one on a disk, without a name")
