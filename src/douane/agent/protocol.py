"""What agent and client say to each other: JSON objects, a line each, over a Unix stream socket.

The client's first line asks; descriptors travel with it (SCM_RIGHTS, unix(7))::

    {"version": 2, "do": "plan"}
    {"version": 2, "do": "inspect", "name": ..., "size": ..., "declared": {...}}   + the image [+ a file for the result]

The agent answers with one line for each thing that happens: ``{"state": "waiting"}``, ``{"state": "begun", "plan":
...}`` with the digest of the plan that the image goes through, as it may be another one by now than it was; and last
``{"state": "done", "report": {...}}`` or ``{"state": "failed", "code": ..., "message": ...}``. The image is a regular
file, or a pipe that the client fills; when it has filled all, it sends ``{"do": "end"}``: a pipe that ends without was
given up. The connection is the claim on the work: when the client closes it, the work is ended.
"""

from __future__ import annotations

import array
import json
import os
import socket
import time
from typing import Any

VERSION = 2
MAX_LINE = 8 << 20
MAX_FDS = 2


class Hangup(Exception):
    """The other side is gone."""


class Broken(Exception):
    """The other side does not speak as it should."""


class Line:
    """One end of a connection. `patience` in seconds: so long may a line take to come, or to go; None: for ever. Then
    the other side counts as gone."""

    def __init__(self, connection: socket.socket, *, patience: float | None = None, most: int = MAX_LINE) -> None:
        """`most` is the length in bytes of the longest line that is received."""
        self.socket = connection
        self._patience = patience
        self._most = most
        self._buffer = b""
        connection.settimeout(patience)

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
        end = time.monotonic() + self._patience if self._patience is not None else None
        try:
            while b"\n" not in self._buffer:
                if len(self._buffer) > self._most:
                    raise Broken(f"a line has more than {self._most} bytes")
                self._buffer += self._more(fds, end)
            line, _, self._buffer = self._buffer.partition(b"\n")
            value = json.loads(line)
            if not isinstance(value, dict):
                raise Broken(f"a line is an object, not {value!r:.60}")
        except BaseException as error:
            for fd in fds:
                os.close(fd)
            if isinstance(error, OSError):
                raise Hangup(str(error)) from error
            if isinstance(error, ValueError | RecursionError):
                raise Broken(f"a line is not JSON: {error}") from error
            raise
        return value, fds

    def _more(self, fds: list[int], end: float | None) -> bytes:
        """What comes next; descriptors go into `fds`. They are not for the plugins that another thread starts."""
        if end is not None:
            left = end - time.monotonic()
            if left <= 0:
                raise Hangup("a line did not come in time")
            self.socket.settimeout(left)
        try:
            data, came, flags, _ = socket.recv_fds(self.socket, 1 << 16, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
        finally:
            self.socket.settimeout(self._patience)
        fds += came
        if len(fds) > MAX_FDS or flags & socket.MSG_CTRUNC:
            raise Broken(f"at most {MAX_FDS} descriptors come with a line")
        if not data:
            raise Hangup("the connection was closed")
        return data

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()
