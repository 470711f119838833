"""A TCP proxy on loopback whose lines break off after so many bytes of the client."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable

_RESET = struct.pack("ii", 1, 0)


class BreakingProxy:
    """Relays connections to `address`. When clients have sent `breaks[0]` bytes in all, their line is reset, and so on
    with each further number; then lines last. `broken` counts them."""

    def __init__(self, address: tuple[str, int], breaks: Iterable[int] = ()) -> None:
        self._target = address
        self._breaks = sorted(breaks)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                threading.Thread(target=self._relay_sent, args=(client, server), daemon=True).start()
                threading.Thread(target=_relay, args=(server, client), daemon=True).start()

    def _relay_sent(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 18):
                if (passing := self._count(len(data))) is not None:
                    server.sendall(data[:passing])
                    _reset(client)
                    server.shutdown(socket.SHUT_WR)  # what has come through stays with the server
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _count(self, size: int) -> int | None:
        """How many of the next bytes come through earlier the line breaks; None if it does not."""
        with self._lock:
            earlier, self.sent = self.sent, self.sent + size
            if not self._breaks or self._breaks[0] > self.sent:
                return None
            passing = max(0, self._breaks.pop(0) - earlier)
            self.sent = earlier + passing
            self.broken += 1
            return passing

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()


def _relay(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _reset(line: socket.socket) -> None:
    """End it without a word, as a broken line ends."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RD)  # wakes the thread that reads
    line.close()
