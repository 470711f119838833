"""The door's side of an inline run, for asyncio; see `inline_messages.py`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

from douane.errors import AgentError
from douane.stream.connection import Connection, Hangup, close_received, convert

from .inline_messages import MAX_LINE_BYTES, READY_SECONDS, Begun, Done, End, Ready, Reply, RunRequest, short_path

__all__ = ["Begun", "Done", "Hangup", "WorkerConnection", "reach_worker", "short_path"]


async def reach_worker(path: str | Path, patience: float = READY_SECONDS) -> WorkerConnection | None:
    """A worker at the socket `path` that is free for an image; None if none answers within `patience` seconds."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        # Complete at once, or EAGAIN while as many others wait as the socket's queue takes (unix(7)).
        with short_path(path) as address:
            sock.connect(address)
    except OSError:
        sock.close()
        return None
    connection = WorkerConnection(sock)
    try:
        async with asyncio.timeout(patience):
            await connection.wait_until_ready()
    except (TimeoutError, Hangup, AgentError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


class WorkerConnection:
    """A worker that waits for this door's image. Used by one task of the event loop at a time; always close it."""

    def __init__(self, sock: socket.socket) -> None:
        self.worker = ""
        """The worker's name."""
        self._socket = sock
        self._connection = Connection(sock, patience=0, max_line_bytes=MAX_LINE_BYTES)

    async def wait_until_ready(self) -> None:
        """Wait for the worker's first line. Raises Hangup, AgentError."""
        ready: Ready = await self._receive(Ready)
        self.worker = ready.worker

    async def run(self, task_id: str, token: int, source_fd: int) -> None:
        """Hand over the reading end of the pipe; the caller closes its own `source_fd`. Raises Hangup."""
        self._connection.send(RunRequest(task_id, token), (source_fd,))

    async def end(self) -> None:
        """The pipe has carried the whole image. The worker may have ended before: its reply is there to be read."""
        try:
            self._connection.send(End())
        except Hangup:
            return

    def give_up(self) -> None:
        """The image will not be complete: the worker undoes its attempt, and replies. Idempotent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def reply(self) -> Reply:
        """The next reply: Begun once, then Done. Raises Hangup if the worker is gone, AgentError for another line."""
        reply: Reply = await self._receive(Reply)
        return reply

    async def _receive(self, message_type: Any) -> Any:
        while (line := self._connection.take_line()) is None:
            if not self._connection.receive_pending():
                await _readable(self._socket)
        fields, fds = line
        for fd in fds:
            close_received(fd)
        return convert(fields, message_type)

    def close(self) -> None:
        """Close the connection: a worker that has not heard of the image's end gives the image up. Idempotent."""
        self._connection.close()


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    fd = sock.fileno()
    loop.add_reader(fd, wake)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
