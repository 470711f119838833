"""Whose turn it is with an open upload: of several requests about one, the latest wins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TypeVar

from douane.api.errors import HttpError
from douane.api.pool import Pool
from douane.errors import DouaneError

from .image_body import ImageBody

log = logging.getLogger("douane.api")

LOOK_SECONDS = 1.0
"""Between two looks at which uploads another door has taken, or somebody has cancelled."""

T = TypeVar("T")


class Superseded(HttpError):
    """Another request goes on with the upload, or it has ended."""

    def __init__(self) -> None:
        super().__init__(409, "Another request goes on with this upload.", headers={"Upload-Complete": "?0"})


class Turn:
    """The turn of one request."""

    def __init__(self) -> None:
        self.is_over = asyncio.Event()
        self._is_stopped = False
        self._reader: asyncio.Task[object] | None = None

    def stop(self) -> None:
        """Another takes its turn: the next `read` ends with Superseded, and so does one that waits for a client."""
        self._is_stopped = True
        if self._reader is not None:
            self._reader.cancel()

    def is_stopped(self) -> bool:
        """True if another takes its turn."""
        return self._is_stopped

    async def read(self, body: ImageBody) -> bytes | None:
        """The next piece of the body, or None at its end. Raises Superseded, and the errors of the body."""
        if self.is_stopped():
            raise Superseded
        reader = asyncio.current_task()
        assert reader is not None, "a request is a task"
        self._reader = reader
        try:
            return await body.read()
        except asyncio.CancelledError:
            if not self.is_stopped():
                raise
            reader.uncancel()
            raise Superseded from None
        finally:
            self._reader = None


class Turns:
    """The turns of one door; used in the event loop."""

    def __init__(self, holdings: Callable[[], set[str]], pool: Pool) -> None:
        """`holdings` are the ids of the tasks that this door holds, receivers in the pool."""
        self._holdings = holdings
        self._pool = pool
        self._current: dict[str, Turn] = {}
        self._received: dict[str, Turn] = {}
        self._watch: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def turn(self, upload_id: str) -> AsyncIterator[Turn]:
        """The request's turn with this upload, as soon as the one before has put its bytes away and has ended."""
        mine = Turn()
        while (current := self._current.get(upload_id)) is not None:
            current.stop()
            await current.is_over.wait()
        self._current[upload_id] = mine
        try:
            yield mine
        finally:
            del self._current[upload_id]
            mine.is_over.set()

    @contextlib.contextmanager
    def receiving(self, upload_id: str, turn: Turn) -> Iterator[None]:
        """Stop the turn when the door holds the task no more: another door has taken it, or it was cancelled."""
        self._received[upload_id] = turn
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_again_and_again())
        try:
            yield
        finally:
            del self._received[upload_id]

    async def _look_again_and_again(self) -> None:
        try:
            while self._received:
                await asyncio.sleep(LOOK_SECONDS)
                await self._look()
        finally:
            self._watch = None

    async def _look(self) -> None:
        receivers = dict(self._received)
        try:
            holdings = await self._pool.run(self._holdings)
        except (DouaneError, HttpError) as error:
            log.warning("who holds the open uploads cannot be read now: %s", error)
            return
        for upload_id, turn in receivers.items():
            if upload_id not in holdings and self._received.get(upload_id) is turn:
                turn.stop()


async def to_its_end(call: Coroutine[object, object, T]) -> T:
    """The result of `call`, which a cancellation does not interrupt: a thread may be writing into a descriptor that
    must not be closed meanwhile."""
    running = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
