"""Descriptors that are handed into a cage: only those that lead nowhere else."""

from __future__ import annotations

import fcntl
import os
import socket
import stat

from douane.errors import SandboxError

_STREAMS = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
_SEALED = 0x0008 | 0x0010  # F_SEAL_WRITE, F_SEAL_FUTURE_WRITE (fcntl(2))


def check_grant(fd: int) -> None:
    """Raises SandboxError for a socket that could send to others than its peer."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return
    with socket.socket(fileno=os.dup(fd)) as granted:
        if granted.type not in _STREAMS:
            raise SandboxError("a granted socket must be a stream: a datagram socket can send to anybody")


def protect(fd: int) -> None:
    """See to it that what `fd` shows can be opened again for reading only.

    Landlock guards files on disk. Memory (memfd_create(2)) has no place in the file system where a rule could
    stand; its mode guards it, and its seals. Raises SandboxError if it has none.
    """
    if not os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
        return  # a file; one on tmpfs has seals too, but also a place in the file system
    seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    if not seals & _SEALED:
        raise SandboxError("memory that a plugin may open again must be sealed against writing")
    os.fchmod(fd, 0o444)


def check_scratch(fd: int) -> None:
    """Raises SandboxError unless `fd` is a regular file that has no name, so that nobody else can come upon it."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink or os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:"):
        raise SandboxError("a file that a plugin may write is a regular one on a disk, without a name")
