"""Services that a granted socket leads to."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

Serve = Callable[[socket.socket], None]


def shout(connection: socket.socket) -> None:
    """Answer each message in capital letters, until the client hangs up."""
    while data := connection.recv(1 << 16):
        connection.sendall(data.upper())


class Service:
    """Serves each connection in a thread of its own, at a TCP port of loopback or, with `unix`, at a path.

    `target` is the address as a grant has it. `accepted` counts the connections; `hung_up` waits until that many
    clients have hung up. `stop` ends it, and the connections with it.
    """

    def __init__(self, serve: Serve = shout, *, unix: bool = False) -> None:
        self.accepted = 0
        self._serve = serve
        self._ended = threading.Condition()
        self._ended_count = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._folder: Path | None = None
        if unix:
            # Not pytest's folder: every user may enter this one, and its path is short (unix(7)).
            self._folder = Path(tempfile.mkdtemp(prefix="douane-service-", dir="/tmp"))
            self._folder.chmod(0o755)
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self._folder / "service"))
            os.chmod(self._folder / "service", 0o666)
            self._listener.listen(64)
            self.target = f"unix:{self._folder}/service"
        else:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            self.target = f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # stopped
                return
            self.accepted += 1
            self._open.add(connection)
            thread = threading.Thread(target=self._serve_one, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve_one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._serve(connection)
        self._open.discard(connection)
        with self._ended:
            self._ended_count += 1
            self._ended.notify_all()

    def hung_up(self, count: int) -> bool:
        """Wait until `count` connections have ended; False if they do not."""
        with self._ended:
            return self._ended.wait_for(lambda: self._ended_count >= count, 60)

    def settle(self) -> None:
        """Wait until all clients have hung up, also those that have not been accepted yet."""
        kind, _, address = self.target.partition(":")
        with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_STREAM) as last:
            try:
                last.connect(address if kind == "unix" else ("127.0.0.1", int(address.rpartition(":")[2])))
            except OSError:  # stopped
                return
            last.sendall(b"the last one")
            last.shutdown(socket.SHUT_WR)
            while last.recv(1 << 16):
                pass
        assert self.hung_up(self.accepted)

    def stop(self) -> None:
        """Accept no more, and end all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(60)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
