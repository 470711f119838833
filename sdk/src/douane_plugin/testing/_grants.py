"""Grants made of plain objects: a file with given bytes, a folder, or a socket that a function of the test serves."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Mapping, Optional, Sequence

from ._result import WrongConfiguration
from ._services import Address, Server


class Grants:
    """The grants of one run. Raises TypeError for a value that cannot be one.

    `socket_paths` has the names of sockets to which libraries can connect at a path, as in the operator's
    configuration; that is for a run in process alone.
    """

    def __init__(self, grants: Optional[Mapping[str, Any]], socket_paths: Sequence[str] = ()) -> None:
        self._grants = dict(grants or {})
        self._socket_paths = tuple(socket_paths)
        self._servers: list[Server] = []
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
        for name in self._socket_paths:
            if name not in self._grants:
                raise WrongConfiguration(f"'socket_paths' lists names of grants, and there is no grant {name!r:.60}")

    def open(self) -> dict[str, dict[str, Any]]:
        """Return open descriptors by name, as in a LOAD frame. Raises WrongConfiguration."""
        opened: dict[str, dict[str, Any]] = {}
        try:
            for name, value in self._grants.items():
                server = self._server(name, value)
                if server is not None:
                    opened[name] = self._open_socket(name, server, len(opened))
                elif _is_folder(value):
                    opened[name] = {"kind": "dir", "path": os.path.abspath(value)}
                else:
                    path = self._path_of(len(opened), value)
                    opened[name] = {"fd": _open(name, path), "kind": "file", "path": path}
        except BaseException:
            for grant in opened.values():
                for key in ("fd", "connect_fd"):
                    if grant.get(key) is not None:
                        os.close(grant[key])
            raise
        return opened

    def _open_socket(self, name: str, server: Server, number: int) -> dict[str, Any]:
        folder = None
        if name in self._socket_paths:
            folder = self._place(number)
            server.offer_folder(folder)
        if isinstance(self._grants[name], Address):
            _check_service(name, self._grants[name])
        return {"fd": server.connect(), "kind": "socket", "connect_fd": server.control(), "socket_folder": folder}

    def targets(self) -> dict[str, str]:
        """Return ``file:``, ``dir:`` and ``unix:`` targets by name, as an operator writes them."""
        targets: dict[str, str] = {}
        for number, (name, value) in enumerate(self._grants.items()):
            if isinstance(value, Address):
                targets[name] = value.target
                continue
            server = self._server(name, value)
            if server is not None:
                path = self._place(number)
                server.listen(path, may_restart=True)
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

    def _server(self, name: str, value: Any) -> Optional[Server]:
        if isinstance(value, (bytes, bytearray, str, os.PathLike)) or hasattr(value, "read"):
            return None
        serve = getattr(value, "serve", None)
        server = Server(name, serve if callable(serve) else value)
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


def _check_service(name: str, address: Address) -> None:
    """Raise WrongConfiguration if the service of a grant does not answer, as the engine fails the plugin then."""
    try:
        address._connect().close()
    except OSError as error:
        raise WrongConfiguration(
            f"the grant {name!r}: {address.target} does not answer ({error.strerror or error}); check that its service "
            "runs"
        ) from None


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
