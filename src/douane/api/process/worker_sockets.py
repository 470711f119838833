"""The two sockets in the home by which doors reach workers. The supervisor holds them while workers come and go."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from douane.errors import PlanError
from douane.imports.inline_messages import short_path
from douane.imports.service_file import DOORS, RUN, WAKE

_WAITING = 64
"""Doors that wait for a worker that is free; they give up after a moment."""


class WorkerSockets:
    """`doors` is accepted on by workers that are free; `wake` gets a message for each new task."""

    def __init__(self, home: Path) -> None:
        """Make both in the folder ``run`` of the home. Raises PlanError."""
        self.doors = _bound(home / RUN / DOORS, socket.SOCK_STREAM)
        self.wake = _bound(home / RUN / WAKE, socket.SOCK_DGRAM)
        self.doors.listen(_WAITING)

    @staticmethod
    def remove(home: Path) -> None:
        """Without workers there are no sockets: a door need not wait to learn that nobody answers."""
        for name in (DOORS, WAKE):
            (home / RUN / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close them. Idempotent."""
        self.doors.close()
        self.wake.close()


def _bound(path: Path, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    try:
        path.unlink(missing_ok=True)  # of a service that was killed: the home's lock says that there is no other
        with short_path(path) as address:
            sock.bind(address)
        os.chmod(path, 0o600)
    except OSError as error:
        sock.close()
        raise PlanError(f"the socket {path} cannot be made: {error.strerror}; choose another --home") from error
    return sock
