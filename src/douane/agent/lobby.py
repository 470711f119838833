"""Clients that have connected and not yet sent a whole line. They have no thread, and there is a bound on them."""

from __future__ import annotations

import logging
import socket
import threading
import time

from douane.errors import AgentError
from douane.stream.connection import Connection, Hangup

from .protocol import Failed

log = logging.getLogger("douane")

MAX_SILENT = 64
"""A further client takes the place of the one that has been silent for longest."""
LINE_SECONDS = 30.0
_MAX_LINE_BYTES = 1 << 20


class Lobby:
    """The silent clients. One thread calls all methods, none of which blocks."""

    def __init__(self) -> None:
        self._silent: dict[int, tuple[Connection, float]] = {}  # by descriptor, in the order of their arrival

    def enter(self, sock: socket.socket) -> None:
        """A client has connected."""
        while len(self._silent) >= MAX_SILENT:
            self._turn_away(next(iter(self._silent)))
        connection = Connection(sock, patience=LINE_SECONDS, max_line_bytes=_MAX_LINE_BYTES)
        self._silent[sock.fileno()] = (connection, time.monotonic())

    def descriptors(self) -> list[int]:
        """Those of the sockets on which a line may come."""
        return list(self._silent)

    def receive(self, fd: int) -> Connection | None:
        """Receive what the client at the socket `fd` has sent. With a whole line it leaves the lobby to the caller."""
        connection, _ = self._silent[fd]
        try:
            if not connection.receive_pending():
                return None
        except Hangup:
            self._turn_away(fd)
            return None
        except AgentError as error:
            self._turn_away(fd, error)
            return None
        del self._silent[fd]
        return connection

    def expire(self) -> float | None:
        """Turn those away whose line takes too long. Seconds until the next of them; None if nobody is here."""
        now = time.monotonic()
        for fd, (_, since) in list(self._silent.items()):
            if since + LINE_SECONDS > now:
                return since + LINE_SECONDS - now
            self._turn_away(fd)
        return None

    def close(self) -> None:
        """Turn all away."""
        for fd in list(self._silent):
            self._turn_away(fd)

    def _turn_away(self, fd: int, error: AgentError | None = None) -> None:
        connection, _ = self._silent.pop(fd)
        if error is None and not connection.holds_descriptors:
            connection.close()
            return

        def end() -> None:
            try:
                if error is not None:
                    connection.send(Failed(error.code, str(error)))
            except Hangup:
                pass
            finally:
                connection.close()

        # A reply waits for its reader, and closing a descriptor that the client has sent can wait for others.
        threading.Thread(target=end, daemon=True).start()
