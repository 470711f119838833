"""Grants made of plain objects: a file of bytes, or a socket that a function of the test's serves."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from typing import Any, Callable, Mapping, Optional

from ._result import WrongConfiguration

SERVER_SECONDS = 10.0
"""How long a server may live on after the plugin has ended."""


class Replies:
    """A server for a granted socket that follows a script: ``Replies((b"zPING\\0", b"PONG\\0"))``.

    Each pair is (what must come, what is sent then), both bytes; ``b""`` stands for nothing. It reads exactly as many
    bytes as are to come. What came is in `received` (bytes). If something else comes, or the plugin hangs up before,
    it raises AssertionError, which ``run`` raises in turn. After the last pair it hangs up.
    """

    def __init__(self, *pairs: tuple[bytes, bytes]) -> None:
        self._pairs = pairs
        self.received = b""

    def serve(self, connection: socket.socket) -> None:
        """Follow the script on `connection`, a connected socket. Raises AssertionError."""
        self.received = b""
        for number, (expected, reply) in enumerate(self._pairs, 1):
            came = b""
            while len(came) < len(expected):
                part = connection.recv(len(expected) - len(came))
                if not part:
                    raise AssertionError(
                        f"step {number}: {expected!r:.100} was to come, but it hung up after {came!r:.100}"
                    )
                came += part
                self.received += part
            if came != expected:
                raise AssertionError(f"step {number}: {expected!r:.100} was to come, not {came!r:.100}")
            connection.sendall(reply)


class _Server:
    """A thread that serves connections, and what it raised while it did."""

    def __init__(self, name: str, serve: Callable[[socket.socket], Any]) -> None:
        self.name = name
        self.error: Optional[BaseException] = None
        self._serve = serve
        self._listener: Optional[socket.socket] = None
        self._thread: Optional[threading.Thread] = None

    def here(self) -> int:
        """One connection: the descriptor of the plugin's end."""
        ours, theirs = socket.socketpair()
        self._begin(lambda: self._one(ours))
        return theirs.detach()

    def listen(self, path: str) -> None:
        """Any number of connections, one after the other, at the Unix socket `path`."""
        listener = self._listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self._begin(lambda: self._all(listener))

    def _begin(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, name=f"grant {self.name}", daemon=True)
        self._thread.start()

    def _all(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # it was shut down: the run is over
                return
            # Douane starts a plugin a second time if it took it for another kind: only the last connection counts.
            self.error = None
            self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the plugin has hung up: it has seen enough
        except BaseException as error:  # an assertion of the test's: `run` raises it
            self.error = error

    def close(self) -> None:
        """Wait until it has ended; the plugin's end is closed."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if self._thread is not None:
            self._thread.join(SERVER_SECONDS)
            if self._thread.is_alive() and self.error is None:
                self.error = RuntimeError(
                    f"the server of the grant {self.name!r} still runs {SERVER_SECONDS:g} s after the plugin ended and "
                    "hung up; let it return when it receives b''"
                )


class Grants:
    """The grants of one run. Raises TypeError for what cannot be one."""

    def __init__(self, given: Optional[Mapping[str, Any]]) -> None:
        self._given = dict(given or {})
        self._servers: list[_Server] = []
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        for name, thing in self._given.items():
            if not isinstance(thing, (bytes, bytearray, str, os.PathLike)) and not (
                hasattr(thing, "read") or callable(thing) or callable(getattr(thing, "serve", None))
            ):
                raise TypeError(
                    f"the grant {name!r} is {thing!r:.100}; it can be bytes or str (what is in a file), a pathlib.Path "
                    "or an open file, or for a socket a function that serves it, or an object with serve(connection)"
                )

    def here(self) -> dict[str, dict[str, Any]]:
        """Open descriptors by name, as the runtime is told them."""
        found: dict[str, dict[str, Any]] = {}
        try:
            for name, thing in self._given.items():
                server = self._server(name, thing)
                if server is not None:
                    found[name] = {"fd": server.here(), "kind": "socket"}
                else:
                    found[name] = {"fd": _open(name, thing), "kind": "file"}
        except BaseException:
            for granted in found.values():
                os.close(granted["fd"])
            raise
        return found

    def caged(self) -> dict[str, str]:
        """``file:`` and ``unix:`` targets by name, as an operator writes them."""
        found: dict[str, str] = {}
        # Not in pytest's folder: the address of a Unix socket has at most 107 bytes (unix(7)).
        self._folder = tempfile.TemporaryDirectory(prefix="douane-")
        for number, (name, thing) in enumerate(self._given.items()):
            path = os.path.join(self._folder.name, str(number))
            server = self._server(name, thing)
            if server is not None:
                server.listen(path)
                found[name] = "unix:" + path
            elif isinstance(thing, os.PathLike):
                found[name] = "file:" + os.path.abspath(thing)
            else:
                with open(path, "wb") as file:
                    file.write(content(thing))
                found[name] = "file:" + path
        return found

    def _server(self, name: str, thing: Any) -> Optional[_Server]:
        if isinstance(thing, (bytes, bytearray, str, os.PathLike)) or hasattr(thing, "read"):
            return None
        serve = getattr(thing, "serve", None)
        server = _Server(name, serve if callable(serve) else thing)
        self._servers.append(server)
        return server

    def close(self) -> Optional[BaseException]:
        """Give all back, when the plugin has ended; the first thing that a server raised."""
        for server in self._servers:
            server.close()
        if self._folder is not None:
            self._folder.cleanup()
        return next((server.error for server in self._servers if server.error is not None), None)


def _open(name: str, thing: Any) -> int:
    """A read-only descriptor of the file that is granted."""
    if isinstance(thing, os.PathLike):
        try:
            return os.open(thing, os.O_RDONLY)
        except OSError as error:
            raise WrongConfiguration(f"the grant {name!r}: {thing} cannot be opened: {error.strerror}") from None
    with tempfile.TemporaryFile() as file:
        file.write(content(thing))
        file.flush()
        return os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)


def content(thing: Any) -> bytes:
    """What is to be in the file of a grant. An open file is read from its beginning, and left where it was."""
    if isinstance(thing, str):
        return thing.encode()
    if isinstance(thing, (bytes, bytearray)):
        return bytes(thing)
    at = thing.tell()
    thing.seek(0)
    data = thing.read()
    thing.seek(at)
    return data.encode() if isinstance(data, str) else bytes(data)
