"""Hand an upload to a worker as it comes: through a pipe, which the event loop fills without waiting."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os

from douane.catalog import Task
from douane.errors import AgentError
from douane.imports.inline import Done, Hangup, WorkerConnection

from .image_body import ImageBody

PIPE_BYTES = 1 << 20
"""The most that an ordinary user may have (pipe(7), /proc/sys/fs/pipe-max-size)."""
SETTLE_SECONDS = 10.0
"""How long a worker may take to put the image back into its queue after an upload that was cut off."""


class NotBegun(Exception):
    """The worker was gone before it began: of the body, nothing was sent. The door waited for the catalog for longer
    than the worker waited for the door, or the worker died."""


async def send_to_worker(worker: WorkerConnection, task: Task, body: ImageBody) -> Done:
    """The end of the run that `worker` makes of the body, which may come before the body has ended.

    Raises the HttpError of the body, when the worker has undone the task; NotBegun, or Hangup or AgentError if the
    worker is gone later.
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    pipe = Pipe(write_fd)
    try:
        try:
            await worker.run(task.id, task.token, read_fd)
            begun = await worker.reply()
        except (Hangup, AgentError) as gone:
            raise NotBegun(str(gone)) from gone
        finally:
            os.close(read_fd)
        if isinstance(begun, Done):
            return begun
        replies = asyncio.create_task(_done(worker))
        sending = asyncio.create_task(_send(pipe, worker, body))
        try:
            await asyncio.wait({replies, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not replies.done() and (error := sending.exception()) is not None:
                pipe.close()
                worker.give_up()
                await asyncio.wait({replies}, timeout=SETTLE_SECONDS)
                raise error
            return await replies
        finally:
            await _end(replies)
            await _end(sending)
    finally:
        pipe.close()


async def _end(task: asyncio.Task[Done] | asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # it was raised before, or came too late to matter


async def _done(worker: WorkerConnection) -> Done:
    while True:
        reply = await worker.reply()
        if isinstance(reply, Done):
            return reply


async def _send(pipe: Pipe, worker: WorkerConnection, body: ImageBody) -> None:
    while (piece := await body.read()) is not None:
        if not await pipe.write(piece):
            return  # the worker has ended: its reply says why
    pipe.close()
    await worker.end()


class Pipe:
    """The writing end of a pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):  # a smaller pipe works, too
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    async def write(self, data: bytes) -> bool:
        """Write everything; False if nobody reads."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                await self._wait_for_room()
            except BrokenPipeError:
                return False
        return True

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not ready.done():
                ready.set_result(None)

        fd = self._fd
        loop.add_writer(fd, wake)
        try:
            await ready
        finally:
            loop.remove_writer(fd)

    def close(self) -> None:
        """Close it. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
