"""Grants made of plain objects: a file with given bytes, a folder, or a socket that a function of the test serves."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from typing import Any, Callable, Mapping, Optional

from ._result import WrongConfiguration

SERVER_SECONDS = 10.0
"""Seconds that a server may go on after the plugin has ended."""


class Replies:
    """A server for a granted socket that follows a script: ``Replies((b"zPING\\0", b"PONG\\0"))``.

    Each pair is (request, reply), both bytes; ``b""`` stands for nothing. The server reads exactly the bytes of the
    request, and then sends the reply. The attribute `received` (bytes) holds all that it has read. If the plugin
    sends other bytes, or hangs up too early, ``run`` raises AssertionError. After the last pair the server hangs up.
    """

    def __init__(self, *pairs: tuple[bytes, bytes]) -> None:
        self._pairs = pairs
        self.received = b""

    def serve(self, connection: socket.socket) -> None:
        """Follow the script on `connection`, a connected socket. Raises AssertionError."""
        self.received = b""
        for number, (expected, reply) in enumerate(self._pairs, 1):
            request = b""
            while len(request) < len(expected):
                part = connection.recv(len(expected) - len(request))
                if not part:
                    raise AssertionError(
                        f"step {number}: expected {expected!r:.100}, but the plugin hung up after {request!r:.100}"
                    )
                request += part
                self.received += part
            if request != expected:
                raise AssertionError(f"step {number}: expected {expected!r:.100}, not {request!r:.100}")
            connection.sendall(reply)


class _Server:
    """A thread that serves connections; `error` is the exception that ended it."""

    def __init__(self, name: str, serve: Callable[[socket.socket], Any]) -> None:
        self.name = name
        self.error: Optional[BaseException] = None
        self._serve = serve
        self._listener: Optional[socket.socket] = None
        self._thread: Optional[threading.Thread] = None

    def connect(self) -> int:
        """Serve one connection; return the descriptor of the plugin's end."""
        ours, theirs = socket.socketpair()
        self._start(lambda: self._serve_one(ours))
        return theirs.detach()

    def listen(self, path: str) -> None:
        """Serve any number of connections, one after the other, at the Unix socket `path`."""
        listener = self._listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self._start(lambda: self._serve_all(listener))

    def _start(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, name=f"grant {self.name}", daemon=True)
        self._thread.start()

    def _serve_all(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # shut down: the run is over
                return
            # Douane starts a plugin again if it has misjudged its kind: only the last connection counts.
            self.error = None
            self._serve_one(connection)

    def _serve_one(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the plugin has hung up
        except BaseException as error:  # `run` raises it: an assertion of the test, for example
            self.error = error

    def close(self) -> None:
        """Wait for the end of the thread; the plugin's end of the connection is closed."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if self._thread is not None:
            self._thread.join(SERVER_SECONDS)
            if self._thread.is_alive() and self.error is None:
                self.error = RuntimeError(
                    f"the server of the grant {self.name!r} still runs {SERVER_SECONDS:g} s after the plugin has ended "
                    "and hung up; return from it when it receives b''"
                )


class Grants:
    """The grants of one run. Raises TypeError for a value that cannot be one."""

    def __init__(self, grants: Optional[Mapping[str, Any]]) -> None:
        self._grants = dict(grants or {})
        self._servers: list[_Server] = []
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        for name, value in self._grants.items():
            if not isinstance(value, (bytes, bytearray, str, os.PathLike)) and not (
                hasattr(value, "read") or callable(value) or callable(getattr(value, "serve", None))
            ):
                raise TypeError(
                    f"the grant {name!r} is {value!r:.100}; for a file, give bytes, str, a pathlib.Path or an open "
                    "file, for a folder a pathlib.Path, for a socket a function that serves it, or an object with "
                    "serve(connection)"
                )

    def open(self) -> dict[str, dict[str, Any]]:
        """Return open descriptors by name, as in a LOAD frame. Raises WrongConfiguration."""
        opened: dict[str, dict[str, Any]] = {}
        try:
            for name, value in self._grants.items():
                server = self._server(name, value)
                if server is not None:
                    opened[name] = {"fd": server.connect(), "kind": "socket"}
                elif _is_folder(value):
                    opened[name] = {"kind": "dir", "path": os.path.abspath(value)}
                else:
                    path = self._path_of(len(opened), value)
                    opened[name] = {"fd": _open(name, path), "kind": "file", "path": path}
        except BaseException:
            for grant in opened.values():
                if "fd" in grant:
                    os.close(grant["fd"])
            raise
        return opened

    def targets(self) -> dict[str, str]:
        """Return ``file:``, ``dir:`` and ``unix:`` targets by name, as an operator writes them."""
        targets: dict[str, str] = {}
        for number, (name, value) in enumerate(self._grants.items()):
            server = self._server(name, value)
            if server is not None:
                path = self._place(number)
                server.listen(path)
                targets[name] = "unix:" + path
            elif _is_folder(value):
                targets[name] = "dir:" + os.path.abspath(value)
            else:
                targets[name] = "file:" + self._path_of(number, value)
        return targets

    def _place(self, number: int) -> str:
        # pytest's folder may have too long a path: the address of a Unix socket has at most 107 bytes (unix(7)).
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="douane-")
        return os.path.join(self._folder.name, str(number))

    def _path_of(self, number: int, value: Any) -> str:
        """Return the path of a granted file, which is made if the test gives only its content."""
        if isinstance(value, os.PathLike):
            place: str = os.path.abspath(value)
            return place
        path = self._place(number)
        with open(path, "wb") as file:
            file.write(content(value))
        return path

    def _server(self, name: str, value: Any) -> Optional[_Server]:
        if isinstance(value, (bytes, bytearray, str, os.PathLike)) or hasattr(value, "read"):
            return None
        serve = getattr(value, "serve", None)
        server = _Server(name, serve if callable(serve) else value)
        self._servers.append(server)
        return server

    def close(self) -> Optional[BaseException]:
        """Wait for the servers, remove the files, and return the first exception of a server."""
        for server in self._servers:
            server.close()
        if self._folder is not None:
            self._folder.cleanup()
        return next((server.error for server in self._servers if server.error is not None), None)


def _is_folder(value: Any) -> bool:
    return isinstance(value, os.PathLike) and os.path.isdir(value)


def _open(name: str, path: str) -> int:
    """Return a read-only descriptor of the granted file. Raises WrongConfiguration."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise WrongConfiguration(f"the grant {name!r}: {path} cannot be opened: {error.strerror}") from None


def content(value: Any) -> bytes:
    """Return the bytes of a grant. An open file is read from its start, and its position restored."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    position = value.tell()
    value.seek(0)
    data = value.read()
    value.seek(position)
    return data.encode() if isinstance(data, str) else bytes(data)
