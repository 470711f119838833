"""A connection between two processes of a host: JSON objects, one a line, over a Unix stream socket.

Descriptors travel with a line (SCM_RIGHTS, unix(7)). Which messages there are, the users of a connection say: the agent
and its clients (`douane.agent.protocol`), the doors and the workers of the service (`douane.imports.inline`).
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import selectors
import socket
import stat
import struct
import time
from typing import Any

import msgspec

from douane.errors import AgentError

MAX_FDS = 2
"""Descriptors that may come with a line."""

_LINGER = struct.Struct("ii")


class Hangup(Exception):
    """The other side is gone. A signal, not an error: both sides turn it into what they do then."""


class Connection:
    """One end of a connection. `patience`: seconds that a line may take to come or go before the other side counts as
    gone; None: no limit; 0: for an event loop, which calls `receive_pending` and `take_line`. `max_line_bytes`: the
    longest line that is received; None: no limit, for the side that reads reports. A report is bounded where the
    plugins' answers are received, for every host alike."""

    def __init__(
        self, sock: socket.socket, *, patience: float | None = None, max_line_bytes: int | None = None
    ) -> None:
        self.socket = sock
        self._patience = patience
        self._max_line_bytes = max_line_bytes
        self._buffer = bytearray()
        self._fds: list[int] = []  # those that came with the line in the buffer
        sock.settimeout(patience)

    def send(self, message: msgspec.Struct, fds: tuple[int, ...] = ()) -> None:
        """Send one message, and `fds` with it. Raises Hangup."""
        # json, and not msgspec: a name that is no valid UTF-8 is for the other side to refuse, with a sentence.
        line = json.dumps(msgspec.to_builtins(message)).encode() + b"\n"
        try:
            if fds:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                line = line[self.socket.sendmsg([line], rights) :]
            if line:  # to send nothing would fail if the other side has replied and closed
                self.socket.sendall(line)
        except OSError as error:
            raise Hangup(str(error)) from error

    def receive(self, message_type: Any) -> Any:
        """The next message, a struct or one of a union. Raises Hangup; AgentError if it is something else."""
        fields, fds = self.receive_fields()
        for fd in fds:
            close_received(fd)
        if fds:
            raise AgentError("descriptors came with a line that has none")
        return convert(fields, message_type)

    def receive_fields(self) -> tuple[dict[str, Any], list[int]]:
        """The next line, as an object, and its descriptors, which the caller closes. Raises Hangup, AgentError."""
        end = time.monotonic() + self._patience if self._patience is not None else None
        try:
            while (line := self.take_line()) is None:
                self._wait(end)
                self.receive_pending()
        except OSError as error:
            raise Hangup(str(error)) from error
        return line

    def take_line(self) -> tuple[dict[str, Any], list[int]] | None:
        """As `receive_fields`, of what was received before; None if no line is whole. Raises AgentError."""
        if b"\n" not in self._buffer:
            return None
        text, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AgentError(f"a line is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise AgentError(f"a line is an object, not {fields!r:.60}")
        fds, self._fds = self._fds, []
        return fields, fds

    def _wait(self, end: float | None) -> None:
        remaining = None if end is None else end - time.monotonic()
        if (remaining is not None and remaining <= 0) or not wait_until_ready(
            self.socket.fileno(), selectors.EVENT_READ, remaining
        ):
            raise Hangup("a line did not come in time")

    def receive_pending(self) -> bool:
        """Receive the bytes that are there, without waiting; True if there is a whole line now.

        Descriptors are closed on exec: another thread may be starting a plugin. Raises Hangup, AgentError.
        """
        flags = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
        try:
            data, fds, received, _ = socket.recv_fds(self.socket, 1 << 16, MAX_FDS, flags)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Hangup(str(error)) from error
        self._fds += fds
        if len(self._fds) > MAX_FDS or received & socket.MSG_CTRUNC:
            raise AgentError(f"at most {MAX_FDS} descriptors come with a line")
        if not data:
            raise Hangup("the connection was closed")
        self._buffer += data
        if self._max_line_bytes is not None and len(self._buffer) > self._max_line_bytes:
            raise AgentError(f"a line has more than {self._max_line_bytes} bytes")
        return b"\n" in data

    @property
    def holds_descriptors(self) -> bool:
        """True if descriptors have come whose line is incomplete."""
        return bool(self._fds)

    def close(self) -> None:
        """Close it, and the descriptors that no line has taken. Idempotent.

        This can wait for others: for the file system of a file that was sent as a descriptor.
        """
        self.socket.close()
        fds, self._fds = self._fds, []
        for fd in fds:
            close_received(fd)


def close_received(fd: int) -> None:
    """Close a descriptor that the other side has sent. A socket with SO_LINGER would wait for its peer (socket(7))."""
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        with socket.socket(fileno=fd) as received, contextlib.suppress(OSError):
            received.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(_LINGER.size))
        return
    os.close(fd)


def wait_until_ready(fd: int, event: int, seconds: float | None) -> bool:
    """Wait for an event of `selectors` at `fd`; False if it does not come in time. Raises OSError.

    Under eventlet, which has no poll(2), other green threads go on meanwhile: it replaces the default selector.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(fd, event)
        return bool(selector.select(seconds))


def convert(fields: dict[str, Any], message_type: Any) -> Any:
    """The message in `fields`, of the type or union `message_type`. Raises AgentError if it is something else."""
    try:
        return msgspec.convert(fields, message_type)
    except msgspec.ValidationError as error:
        raise AgentError(f"a line cannot be read: {error}") from error
