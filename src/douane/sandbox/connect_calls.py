"""Calls of connect(2) in a sandbox, which the kernel stops and tells the engine (seccomp_unotify(2)).

The kernel executes none of them: the engine puts a connected socket in the place of the caller's, or has the call fail.
So whatever the address, the sandbox reaches nothing by it. The caller's memory may change while it is read; that only
decides which of the plugin's own grants is connected.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct

import msgspec

_RECEIVE, _SEND, _IS_VALID, _ADD_FD = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
"""SECCOMP_IOCTL_NOTIF_RECV, SEND, ID_VALID, ADDFD; the same on x86_64 and aarch64."""

_ADDFD_SETFD = 1
_CALL = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags, and struct seccomp_data: number, architecture, address, arguments."""

_ADDRESS_BYTES = 110
"""struct sockaddr_un: the family, and a path of at most 108 bytes."""

_CAP_SYS_PTRACE = 19


class ConnectCall(msgspec.Struct, frozen=True):
    """One call; answer it once, by `refuse` or `hand_over`. A caller that has ended by then gets nothing."""

    listener: int
    number: int
    fd: int
    flags: int
    """Of the caller's socket, as open(2) has them."""

    path: str | None
    """Where it wants to connect to; None if that is no path, or cannot be read."""

    error: int
    """The errno of the failure to read the call; 0 if it was read."""

    def refuse(self, number: int) -> None:
        """Have the call fail with the errno `number`."""
        self._send(-number)

    def hand_over(self, connection: socket.socket) -> None:
        """Put `connection` in the place of the caller's socket, and have the call succeed."""
        connection.setblocking(not self.flags & os.O_NONBLOCK)
        request = struct.pack(
            "=QIIII", self.number, _ADDFD_SETFD, connection.fileno(), self.fd, self.flags & os.O_CLOEXEC
        )
        try:
            fcntl.ioctl(self.listener, _ADD_FD, request)
        except OSError as error:
            self._send(-(error.errno or errno.EIO))
            return
        self._send(0)

    def _send(self, result: int) -> None:
        with contextlib.suppress(OSError):  # the caller has ended
            fcntl.ioctl(self.listener, _SEND, struct.pack("=QqiI", self.number, 0, result, 0))


def receive_call(listener: int) -> ConnectCall | None:
    """The call that waits; None if its caller has ended. Raises OSError if no process is left that could call."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    events = next((event for _, event in poll.poll(0)), 0)
    if not events & select.POLLIN:  # before Linux 6.11, receiving would wait for ever if all processes have ended
        if events:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return None
    buffer = bytearray(_CALL.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer)
    except (FileNotFoundError, InterruptedError):
        return None
    number, pid, _flags, _call, _architecture, _address, fd, address, length, *_ = _CALL.unpack(buffer)
    fd &= 0xFFFFFFFF
    try:
        path, flags = _read(pid, fd, address, min(length & 0xFFFFFFFF, _ADDRESS_BYTES))
        fcntl.ioctl(listener, _IS_VALID, struct.pack("=Q", number))  # otherwise it may have been another process
    except OSError as error:
        refusal = errno.EBADF if error.errno == errno.EBADF else errno.EACCES
        return ConnectCall(listener, number, fd, 0, None, refusal)
    return ConnectCall(listener, number, fd, flags, path, 0)


def _read(pid: int, fd: int, address: int, length: int) -> tuple[str | None, int]:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.pread(memory, length, address)
    finally:
        os.close(memory)
    try:
        if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        with open(f"/proc/{pid}/fdinfo/{fd}") as file:
            flags = next((int(line[6:], 8) for line in file if line.startswith("flags:")), 0)
    except FileNotFoundError:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
    if len(content) < 3 or int.from_bytes(content[:2], "little") != socket.AF_UNIX or not content[2]:
        return None, flags
    return os.fsdecode(content[2:].split(b"\0", 1)[0]), flags


def can_read_calls() -> bool:
    """True if this process may read the addresses that a sandbox of its own connects to (ptrace(2)): root needs
    CAP_SYS_PTRACE, since the sandbox has another user; an ordinary user needs no right."""
    if os.geteuid() != 0:
        return True
    with open("/proc/self/status") as file:
        effective = next((line for line in file if line.startswith("CapEff:")), "CapEff: 0")
    return bool(int(effective.split()[1], 16) >> _CAP_SYS_PTRACE & 1)
