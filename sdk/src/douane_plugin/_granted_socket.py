"""A granted socket, which can make further connections to its target."""

from __future__ import annotations

import _thread
import errno
import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

_REQUEST = b"\0"
_ANSWER_BYTES = 1024
_FD_BYTES = 4
SOCKET_NAME = "socket"


class GrantedSocket(socket.socket):
    """What `self.grant(name)` returns for a ``unix:`` or ``tcp:`` grant: a connected, blocking socket, the first
    connection. :meth:`connect` without an argument makes another one."""

    _name = ""
    _control: Optional[int] = None
    _folder: Optional[str] = None

    def connect(self, *address: Any) -> Any:
        """Return a new connection to the target of the grant, a connected and blocking ``socket.socket``.

        Douane makes it, outside the sandbox. At most 32 connections may be open at once; close those that you no
        longer need. Raises OSError with the reason: ConnectionRefusedError, also if there are too many connections, or
        TimeoutError (after 10 s). Threads and processes may call it at the same time.
        """
        if address:
            return super().connect(*address)
        if self._control is None:
            raise OSError(errno.EOPNOTSUPP, f"this Douane makes one connection only for the grant {self._name!r}")
        with _LOCK:
            os.write(self._control, _REQUEST)
            answer, fd = _receive(self._control)
        if fd is not None:
            return socket.socket(fileno=fd)
        number = int.from_bytes(answer[:4], "little") if len(answer) >= 4 else errno.ECONNABORTED
        if number:
            raise OSError(number, answer[4:].decode("utf-8", "replace") or "Douane makes no more connections")
        raise OSError(errno.EMFILE, "the plugin has too many open descriptors to receive a connection")

    @property
    def socket_folder(self) -> str:
        """The folder of :attr:`socket_path`, for libraries that choose the file's name themselves.

        Every name in it is a socket that leads to the target: ``psycopg.connect(host=socket_folder)`` connects to the
        name ``.s.PGSQL.5432``. Raises LookupError.
        """
        if self._folder is None:
            raise LookupError(
                f"the grant {self._name!r} has no path; the operator's configuration gives it one by "
                f'socket_paths = ["{self._name}"]'
            )
        return self._folder

    @property
    def socket_path(self) -> str:
        """A path at which a library can connect to the target as to a Unix socket (connect(2)), each time anew.

        It is in :attr:`socket_folder`. Nothing can be listed or opened there. Raises LookupError if the operator's
        configuration does not list the grant in ``socket_paths``.
        """
        return f"{self.socket_folder}/{SOCKET_NAME}"


_LOCK = _thread.allocate_lock()


def open_granted_socket(name: str, target: dict[str, Any]) -> GrantedSocket:
    """Return the socket of the grant `name`, as `target` of a LOAD frame describes it."""
    granted = GrantedSocket(fileno=target["fd"])
    granted._name = name
    granted._control = target.get("connect_fd")
    granted._folder = target.get("socket_folder")
    return granted


def _receive(control: int) -> tuple[bytes, Optional[int]]:
    """Return an answer, and the descriptor that came with it, which no program inherits (recvmsg(2))."""
    with socket.socket(fileno=os.dup(control)) as end:
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0x40000000)
        answer, extras, _, _ = end.recvmsg(_ANSWER_BYTES, socket.CMSG_SPACE(_FD_BYTES), flags)
    for level, kind, data in extras:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(data) >= _FD_BYTES:
            return answer, int.from_bytes(data[:_FD_BYTES], "little")
    return answer, None
