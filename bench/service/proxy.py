"""A TCP proxy on loopback that counts the bytes that clients send through it."""

from __future__ import annotations

import contextlib
import socket
import threading

BUFFER_BYTES = 1 << 18
"""What the kernel may keep on either side of the proxy, so that it adds little to what a client sends."""


class CountingProxy:
    """Relays connections to `port`; `sent` is the number of bytes that clients have sent since it was set to 0.

    The bytes that a client has written and nobody has read yet, in the buffers of its socket, are not counted.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # accepted sockets inherit it
        self.port: int = self._listener.getsockname()[1]
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
                threading.Thread(target=self._relay, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._relay, args=(server, client, False), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        """Relay until the end of `source`. If `target` takes no more, `source` learns so as without a proxy."""
        try:
            while data := source.recv(1 << 16):
                if counts:
                    self.sent += len(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, target):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)  # wakes the other thread
                sock.close()  # with bytes unread, which resets the connection

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()
