"""The bytes of a download, read from an open file in a thread, piece by piece."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from .pool import Pool
from .request_body import RequestBody

PIECE = 1 << 20


class ImageStream:
    """The bytes of an open file from `start` up to, and without, `stop`. It ends early if the client goes away."""

    def __init__(self, pool: Pool, fd: int, start: int, stop: int, body: RequestBody) -> None:
        """`fd` is closed at the end."""
        self._pool = pool
        self._fd = fd
        self._offset = start
        self._stop = stop
        self._body = body
        self._gone: asyncio.Task[None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._gone is None:
            # The server takes the bytes of an answer that nobody reads without an error.
            self._gone = asyncio.create_task(self._body.disconnected())
        if self._offset >= self._stop or self._gone.done():
            raise StopAsyncIteration
        piece = await self._pool.run(os.pread, self._fd, min(PIECE, self._stop - self._offset), self._offset)
        if not piece:
            # An answer that is shorter than its length: the client sees that it was cut off.
            raise StopAsyncIteration
        self._offset += len(piece)
        return piece

    async def close(self) -> None:
        """Close the file. Idempotent."""
        if self._gone is not None:
            self._gone.cancel()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
