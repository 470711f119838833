"""The bytes of an image as they come from a client: counted, and bounded in size and slowness."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from douane.api.errors import HttpError

from .request_body import RequestBody
from .upload import Upload, require_received, too_large

HEAD_BYTES = 8 << 20
"""So much is received before it is decided who takes the upload."""
HEAD_SECONDS = 1.0
"""A client that needs longer for its first `HEAD_BYTES` is slow: it would hold a worker for minutes."""
SLOWEST = 4096
"""Bytes a second, on average, after the first minute. A client that is slower is dropped."""
_LENIENT_SECONDS = 60.0


class ImageBody:
    """The body of an upload. `received` counts its bytes."""

    def __init__(self, body: RequestBody, upload: Upload, limit: int | None) -> None:
        """`limit` is the greatest size in bytes; None: unlimited."""
        self._body = body
        self._upload = upload
        self._limit = limit
        self._began = time.monotonic()
        self._head: deque[bytes] = deque()
        self._pending: asyncio.Task[bytes | None] | None = None
        self.received = 0
        self.is_complete = False
        self.head_is_empty = asyncio.Event()
        """Set when `read` has returned all of what was received in advance."""

    async def receive_head(self) -> bool:
        """Receive the first bytes, which `read` returns again; True if they came fast, or are all.

        It takes `HEAD_SECONDS` at most, also if the client is silent. Raises the errors of `read`.
        """
        end = self._began + HEAD_SECONDS
        while self.received < HEAD_BYTES and not self.is_complete:
            if not await self._receive_ahead(max(0.0, end - time.monotonic())):
                return False
        return True

    async def receive_first(self) -> None:
        """Wait for the first bytes, which `read` returns again, or for the end. Raises the errors of `read`."""
        while not self._head and not self.is_complete:
            await self._receive_ahead(None)

    async def read(self) -> bytes | None:
        """The next piece, or None at the end.

        Raises HttpError: 400 for a body that is cut off, or of another length than announced; 408 for a silent or a
        very slow client; 413 for too many bytes.
        """
        if self._head:
            return self._head.popleft()
        self.head_is_empty.set()
        if self._pending is not None:
            pending, self._pending = self._pending, None
            return await pending
        return await self._receive()

    async def close(self) -> None:
        """Stop receiving. Idempotent."""
        self.head_is_empty.set()
        if self._pending is not None:
            self._pending.cancel()
            await asyncio.wait({self._pending})

    async def _receive_ahead(self, seconds: float | None) -> bool:
        """Receive one piece in advance; False if it does not come in time. Then it is not lost: it comes later."""
        if self._pending is None:
            self._pending = asyncio.create_task(self._receive())
        done, _ = await asyncio.wait({self._pending}, timeout=seconds)
        if not done:
            return False
        pending, self._pending = self._pending, None
        if (piece := pending.result()) is not None:
            self._head.append(piece)
        return True

    async def _receive(self) -> bytes | None:
        if self.is_complete:
            return None
        piece = await self._body.read()
        if piece is None:
            require_received(self._upload, self.received)
            self.is_complete = True
            return None
        self.received += len(piece)
        if self._limit is not None and self.received > self._limit:
            raise too_large(self._limit)
        if self._upload.announced is not None and self.received > self._upload.announced:
            require_received(self._upload, self.received)
        seconds = time.monotonic() - self._began
        if seconds > _LENIENT_SECONDS and self.received < SLOWEST * seconds:
            raise HttpError(408, f"The upload is slower than {SLOWEST} bytes a second. Nothing was kept.")
        return piece
