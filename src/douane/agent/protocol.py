"""What agent and client say to each other: JSON objects, a line each, over a Unix stream socket.

The client's first line asks; descriptors travel with it (SCM_RIGHTS, unix(7))::

    {"version": 1, "do": "plan"}
    {"version": 1, "do": "inspect", "name": ..., "size": ..., "declared": {...}}   + the image [+ a file for the result]

The agent answers with one line for each thing that happens: ``{"state": "waiting"}``, ``{"state": "begun"}``, and last
``{"state": "done", "report": {...}}`` or ``{"state": "failed", "code": ..., "message": ...}``. The image is a regular
file, or a pipe that the client fills; when it has filled all, it sends ``{"do": "end"}``: a pipe that ends without was
given up. The connection is the claim on the work: when the client closes it, the work is ended.
"""

from __future__ import annotations

import array
import json
import socket
from typing import Any

VERSION = 1
MAX_LINE = 8 << 20
MAX_FDS = 2


class Hangup(Exception):
    """The other side is gone."""


class Broken(Exception):
    """The other side does not speak as it should."""


class Line:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def send(self, value: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send one line, and `fds` with it. Raises Hangup."""
        data = json.dumps(value).encode() + b"\n"
        try:
            if fds:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                data = data[self.socket.sendmsg([data], rights) :]
            self.socket.sendall(data)
        except OSError as error:
            raise Hangup(str(error)) from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next line, and the descriptors that came with it, which are the caller's. Raises Hangup, Broken."""
        fds: list[int] = []
        try:
            while b"\n" not in self._buffer:
                if len(self._buffer) > MAX_LINE:
                    raise Broken(f"a line has more than {MAX_LINE} bytes")
                data, came, _, _ = socket.recv_fds(self.socket, 1 << 16, MAX_FDS)
                fds += came
                if not data:
                    raise Hangup("the connection was closed")
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\n")
            value = json.loads(line)
            if not isinstance(value, dict):
                raise Broken(f"a line is an object, not {value!r:.60}")
        except BaseException as error:
            _close(fds)
            if isinstance(error, OSError):
                raise Hangup(str(error)) from error
            if isinstance(error, ValueError):
                raise Broken(f"a line is not JSON: {error}") from error
            raise
        return value, fds

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()


def _close(fds: list[int]) -> None:
    import os

    for fd in fds:
        os.close(fd)
