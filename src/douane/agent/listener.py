"""The socket that the agent listens on."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from douane.errors import PlanError


class Listener:
    """A socket at `path` with these `mode` bits. It replaces a socket that nobody listens on. Raises PlanError."""

    def __init__(self, path: str, mode: int) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.lstat(path).st_mode) and not _is_listening(path):
                    os.unlink(path)
            umask = os.umask(0o177)
            try:
                self.socket.bind(path)
            finally:
                os.umask(umask)
            self._status = os.lstat(path)
            os.chmod(path, mode)
            self.socket.listen(socket.SOMAXCONN)
            self.socket.setblocking(False)
        except OSError as error:
            self.socket.close()
            reason = "another agent listens there" if _is_listening(path) else error.strerror or str(error)
            raise PlanError(
                f"the socket {path} cannot be created: {reason}; choose another path with --socket"
            ) from error

    def remove(self) -> None:
        """Stop listening, and delete the socket unless another agent has replaced it."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(self._path), self._status):
                os.unlink(self._path)
        self.socket.close()


def _is_listening(path: str) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        try:
            client.connect(path)
        except OSError:
            return False
        return True
