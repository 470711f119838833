"""The bytes of a download, read from a store in a thread, piece by piece."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator

from douane.api.pool import Pool
from douane.errors import StoreError
from douane.stores import StoredBytes

from .request_body import RequestBody

log = logging.getLogger("douane.serve")

PIECE = 1 << 20
FIRST_PIECE = 64 << 10
LEAST_PIECE = 16 << 10

BUFFERED = 8
"""Pieces that the server below takes from a download whose client reads nothing: it counts pieces, not bytes."""

TRUSTED = 32
"""A client may be sent pieces of a 32nd of what it has taken: more than the sockets hold, which take some MiB of
everybody, then is memory for those only who read."""

MEMORY = 256 << 20
"""What all downloads together may have in memory, about."""


class Downloads:
    """The downloads of a process, and how large their pieces are."""

    def __init__(self) -> None:
        self.count = 0

    def piece(self, taken: int) -> int:
        """The size of the next piece of a client that took so many bytes before.

        Large pieces are fast: 700 MB/s by 1 MiB, 230 MB/s by 64 KiB. A client that reads nothing costs 0.5 MiB then,
        and not 8.
        """
        share = MEMORY // (BUFFERED * max(1, self.count))
        return max(LEAST_PIECE, min(PIECE, max(FIRST_PIECE, taken // TRUSTED), share))


class ImageStream:
    """The bytes from `start` up to, and without, `stop`. It ends early if the client goes away, or the store fails."""

    def __init__(
        self, pool: Pool, stored: StoredBytes, start: int, stop: int, body: RequestBody, downloads: Downloads
    ) -> None:
        """`stored` is closed at the end."""
        self._pool = pool
        self._downloads = downloads
        self._start = start
        downloads.count += 1
        self._stored: StoredBytes | None = stored
        self._next: asyncio.Task[bytes] | None = None
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
        if self._offset >= self._stop or self._gone.done() or self._stored is None:
            raise StopAsyncIteration
        piece = await (self._next or self._read(self._stored))
        self._next = None
        if not piece:
            # An answer that is shorter than its length: the client sees that it was cut off.
            raise StopAsyncIteration
        self._offset += len(piece)
        if self._stored.fd is None and self._offset < self._stop:
            # A server takes some milliseconds for each request: it is asked while this piece is sent.
            self._next = asyncio.ensure_future(self._read(self._stored))
        return piece

    async def _read(self, stored: StoredBytes) -> bytes:
        size = min(self._downloads.piece(self._offset - self._start), self._stop - self._offset)
        try:
            return await self._pool.run(read_piece, stored, size, self._offset)
        except StoreError as error:
            log.error("a download ends before its end: %s", error)
            return b""

    async def close(self) -> None:
        """Close the bytes. Idempotent."""
        for task in (self._gone, self._next):
            if task is not None:
                task.cancel()
        if self._stored is not None:
            self._stored.close()
            self._stored = None
            self._downloads.count -= 1


def read_piece(stored: StoredBytes, size: int, offset: int) -> bytes:
    """At most `size` bytes from `offset` on. Raises OSError, StoreError."""
    if stored.fd is not None:
        return os.pread(stored.fd, size, offset)
    piece = bytearray(size)
    return bytes(memoryview(piece)[: stored.read_into(memoryview(piece), offset)])
