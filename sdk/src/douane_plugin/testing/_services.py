"""The other end of granted sockets: a function of the test, a script of replies, or a real service."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import Any, Callable, Optional

SERVER_SECONDS = 10.0
"""Seconds that a server may go on after the plugin has ended."""

CONNECT_SECONDS = 10.0
"""As in the engine."""

POSTGRES = ".s.PGSQL.5432"
"""The name that PostgreSQL's libraries look for in a folder."""

_PIECE = 1 << 16


class Replies:
    """A server for a granted socket that follows a script: ``Replies((b"zPING\\0", b"PONG\\0"))``.

    Each pair is (request, reply), both bytes; ``b""`` stands for nothing. The server reads exactly the bytes of the
    request, and then sends the reply. The attribute `received` (bytes) holds all that it has read. If the plugin
    sends other bytes, or hangs up too early, ``run`` raises AssertionError. After the last pair the server hangs up.
    Each connection follows the script from its beginning; `received` is of the connection that was read last.
    """

    def __init__(self, *pairs: tuple[bytes, bytes]) -> None:
        self._pairs = pairs
        self.received = b""

    def serve(self, connection: socket.socket) -> None:
        """Follow the script on `connection`, a connected socket. Raises AssertionError."""
        received = b""
        for number, (expected, reply) in enumerate(self._pairs, 1):
            request = b""
            while len(request) < len(expected):
                part = connection.recv(len(expected) - len(request))
                if not part:
                    raise AssertionError(
                        f"step {number}: expected {expected!r:.100}, but the plugin hung up after {request!r:.100}"
                    )
                request += part
                received += part
                self.received = received
            if request != expected:
                raise AssertionError(f"step {number}: expected {expected!r:.100}, not {request!r:.100}")
            connection.sendall(reply)


class Address:
    """A real service for a granted socket, as an operator writes it: ``Address("tcp:127.0.0.1:5432")``, or
    ``Address("unix:/run/clamav/clamd.ctl")``. Raises ValueError for another form."""

    def __init__(self, target: str) -> None:
        kind, _, address = target.partition(":")
        host, _, port = address.rpartition(":")
        if not (kind == "unix" and address) and not (kind == "tcp" and host and port.isdigit()):
            raise ValueError(f"an address is written unix:PATH or tcp:HOST:PORT, not {target!r:.100}")
        self.target = target
        self._place: Any = address if kind == "unix" else (host.strip("[]"), int(port))

    def _connect(self) -> socket.socket:
        """Return a new connection to the service. Raises OSError."""
        if not isinstance(self._place, str):
            return socket.create_connection(self._place, CONNECT_SECONDS)
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(self._place)
        except BaseException:
            peer.close()
            raise
        return peer

    def serve(self, connection: socket.socket) -> None:
        """Copy between `connection` and a new connection to the service. Raises OSError."""
        with self._connect() as peer:
            peer.settimeout(None)
            back = threading.Thread(target=_copy, args=(peer, connection), daemon=True)
            back.start()
            _copy(connection, peer)
            # The plugin sends no more. Until it has hung up, or the service has, the service may still answer.
            hang_up = select.poll()
            hang_up.register(connection, 0)
            hang_up.poll(SERVER_SECONDS * 1000)
            _end(peer)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while True:
            data = source.recv(_PIECE)
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
    except OSError:  # one of the two has hung up
        _end(source)
        _end(target)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is not connected any more


class _Heard(socket.socket):
    """A connection that notes whether anything was received."""

    heard = False

    def recv(self, *arguments: Any) -> bytes:
        data = super().recv(*arguments)
        self.heard = self.heard or bool(data)
        return data

    def recv_into(self, *arguments: Any) -> int:
        length = super().recv_into(*arguments)
        self.heard = self.heard or bool(length)
        return length


class Server:
    """Serves the connections of one grant, each in a thread of its own; see :class:`douane_plugin.testing.Replies`."""

    def __init__(self, name: str, serve: Callable[[socket.socket], Any]) -> None:
        self.name = name
        self._serve = serve
        self._lock = threading.Lock()
        self._open: set[_Heard] = set()
        self._errors: list[tuple[_Heard, BaseException]] = []
        self._late: Optional[BaseException] = None
        self._count = 0
        self._sources: list[socket.socket] = []
        """Listeners and control sockets, from which connections come."""

        self._threads: list[threading.Thread] = []
        self._may_restart = False

    def connect(self) -> int:
        """Serve one connection; return the descriptor of the plugin's end."""
        ours, theirs = socket.socketpair()
        self._begin(ours)
        return theirs.detach()

    def control(self) -> int:
        """Serve a connection for each request, as the engine's broker does; return the plugin's end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._run(lambda: self._answer(ours), ours)
        return theirs.detach()

    def listen(self, path: str, *, may_restart: bool = False) -> None:
        """Serve any number of connections at the Unix socket `path`. `may_restart`: the plugin may be started twice."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(64)
        self._may_restart = may_restart
        self._run(lambda: self._accept(listener), listener)

    def offer_folder(self, folder: str) -> None:
        """Listen in `folder`, as in the folder of a granted socket in the sandbox."""
        os.mkdir(folder)
        self.listen(os.path.join(folder, "socket"))
        os.symlink("socket", os.path.join(folder, POSTGRES))

    def _run(self, work: Callable[[], None], source: socket.socket) -> None:
        self._sources.append(source)
        thread = threading.Thread(target=work, name=f"grant {self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _answer(self, control: socket.socket) -> None:
        while True:
            try:
                if not control.recv(16):
                    return
                ours, theirs = socket.socketpair()
                with theirs:
                    socket.send_fds(control, [bytes(4)], [theirs.fileno()])
            except OSError:  # the plugin has ended
                return
            self._begin(ours)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # shut down: the run is over
                return
            self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        heard = _Heard(fileno=connection.detach())
        with self._lock:
            # Douane starts a plugin again if it has misjudged its kind: only the last process counts.
            if self._may_restart and not self._open:
                self._errors.clear()
            self._count += 1
            self._open.add(heard)
        thread = threading.Thread(target=self._serve_one, args=(heard,), name=f"grant {self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve_one(self, connection: _Heard) -> None:
        try:
            self._serve(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the plugin has hung up
        except BaseException as error:  # `run` raises it: an assertion of the test, for example
            with self._lock:
                self._errors.append((connection, error))
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()

    @property
    def error(self) -> Optional[BaseException]:
        """The first exception of a connection. A connection that the plugin never used counts only if it is the only
        one: Douane makes the first before the plugin asks."""
        errors = (error for connection, error in self._errors if connection.heard or self._count == 1)
        return next(errors, self._late)

    def close(self) -> None:
        """Wait for the end of the threads. The plugin has ended; what it has left open ends now."""
        for source in self._sources:
            try:
                source.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the plugin's end is closed
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RD)
                except OSError:
                    pass  # as above
        for thread in list(self._threads):
            thread.join(SERVER_SECONDS)
        for source in self._sources:
            source.close()
        if any(thread.is_alive() for thread in self._threads) and self.error is None:
            self._late = RuntimeError(
                f"the server of the grant {self.name!r} still runs {SERVER_SECONDS:g} s after the plugin has ended "
                "and hung up; return from it when it receives b''"
            )
