"""The socket that the agent listens on."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from douane.engine import PlanError


class Listening:
    """A socket at `path`. One that nobody listens on any more is replaced. Raises PlanError."""

    def __init__(self, path: str, mode: int) -> None:
        self._path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.lstat(path).st_mode) and not _answers(path):
                    os.unlink(path)
            before = os.umask(0o177)
            try:
                self.socket.bind(path)
            finally:
                os.umask(before)
            self._made = os.lstat(path)
            os.chmod(path, mode)
            self.socket.listen(128)
            self.socket.setblocking(False)
        except OSError as error:
            self.socket.close()
            what = "another agent listens there" if _answers(path) else error.strerror or str(error)
            raise PlanError(f"the socket {path} cannot be made: {what}; choose another path with --socket") from error

    def remove(self) -> None:
        """Listen no more. What is at the path by now, if that is another agent's, stays."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(self._path), self._made):
                os.unlink(self._path)
        self.socket.close()


def _answers(path: str) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as trying:
        try:
            trying.connect(path)
        except OSError:
            return False
        return True
