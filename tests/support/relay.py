"""A relay on loopback before a server, which a test makes fail: it refuses, is silent, or passes little at a time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Mode = Literal["open", "refusing", "silent", "slow"]
PIECE = 64 << 10
SLOW_PIECE = 8 << 10
SLOW_PAUSE = 0.001


class Relay:
    """Passes connections on to `port`; clients connect to `self.port`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.mode: Mode = "open"
        self._paused = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def failing(self, mode: Mode) -> Iterator[None]:
        """As `mode` says for a while; the connections that there are break off when it begins, and when it ends."""
        self.mode = mode
        self._break_off()
        try:
            yield
        finally:
            self.mode = "open"
            self._break_off()

    def close(self) -> None:
        """Relay nothing more."""
        self._listener.close()
        self._break_off()

    def _break_off(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                if self.mode == "refusing":
                    client.close()
                    continue
                with self._lock:
                    self._sockets.add(client)
                if self.mode == "silent":
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                with self._lock:
                    self._sockets.add(server)
                for near, far in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(SLOW_PIECE if self.mode == "slow" else PIECE):
                if self.mode == "slow":
                    self._paused.wait(SLOW_PAUSE)
                far.sendall(data)
        for sock in (near, far):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._sockets -= {near}
        near.close()
