"""The body of a request, read piece by piece from ASGI events, with a bound for silence and for what is thrown away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from douane.api.errors import HttpError, over_quota

Receive = Callable[[], Awaitable[dict[str, Any]]]


async def _ended() -> dict[str, Any]:
    return {"type": "http.disconnect"}


DRAINED_BYTES = 16 << 20
"""So much of a refused upload is read and thrown away, so that its client reads the answer and not "broken pipe"."""
DRAINED_SECONDS = 10.0


class CutOff(HttpError):
    """The client went away, or its body ended in the middle; nobody reads the answer."""

    def __init__(self) -> None:
        super().__init__(400, "The body was cut off. Nothing was kept.", code="cut-off")


class RequestBody:
    """The body of one request. `announced` is its length in bytes, None for chunks."""

    def __init__(self, receive: Receive, headers: Mapping[str, str], silence: float) -> None:
        """`headers` have names in lower case; `silence` is how many seconds a client may send nothing."""
        self._receive = receive
        self._silence = silence
        length = headers.get("content-length", "")
        self.is_chunked = "transfer-encoding" in headers
        self.announced = int(length) if length.isascii() and length.isdigit() else None
        self.exists = self.is_chunked or bool(self.announced)
        self.waits_for_continue = headers.get("expect", "").lower() == "100-continue"
        self.is_complete = not self.exists
        self._began = False
        self._is_lost = False

    def release(self) -> None:
        """Forget the server's side of the request, which has ended. Idempotent."""
        self._receive = _ended

    async def asgi_receive(self) -> dict[str, Any]:
        """What the framework gets, which asks before it routes: to wait for a body there would be to wait for a silent
        client, and to say "100 Continue" before the request was judged."""
        if not self._began:
            self._began = True
            return {"type": "http.request", "body": b"", "more_body": self.exists}
        return await self._receive()

    async def read(self) -> bytes | None:
        """The next piece, or None at the end. Raises CutOff, or HttpError 408 if the client is silent for too long."""
        while not self.is_complete:
            event = await self._next(self._silence)
            if event["type"] != "http.request":
                self._is_lost = True
                raise CutOff
            self.is_complete = not event.get("more_body", False)
            if piece := event.get("body", b""):
                return bytes(piece)
        return None

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises HttpError 413 if it has more than `limit` bytes, and the errors of `read`."""
        if self.announced is not None and self.announced > limit:
            raise over_quota(f"The body has more than {limit} bytes, the most that this call takes.")
        pieces = []
        size = 0
        while (piece := await self.read()) is not None:
            size += len(piece)
            if size > limit:
                raise over_quota(f"The body has more than {limit} bytes, the most that this call takes.")
            pieces.append(piece)
        return b"".join(pieces)

    async def disconnected(self) -> None:
        """Return when the client has gone away. For an answer that takes long; the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def drain(self) -> None:
        """Throw the rest of the body away, within bounds; call it when the answer was sent."""
        if self.is_complete or self._is_lost or (self.waits_for_continue and not self._began_to_read):
            return
        deadline = time.monotonic() + DRAINED_SECONDS
        remaining = DRAINED_BYTES
        while not self.is_complete and remaining > 0:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                return
            try:
                event = await self._next(min(seconds, self._silence))
            except HttpError:
                return
            if event["type"] != "http.request":
                return
            remaining -= len(event.get("body", b""))
            self.is_complete = not event.get("more_body", False)

    _began_to_read = False

    async def _next(self, seconds: float) -> dict[str, Any]:
        self._began_to_read = True
        try:
            # Granian's receive() returns a future of its own, which wait_for() takes only inside of a coroutine.
            return await asyncio.wait_for(self._event(), seconds)
        except TimeoutError:
            self._is_lost = True
            raise HttpError(
                408, f"The body did not come: the client was silent for {seconds:.0f} seconds. Nothing was kept."
            ) from None

    async def _event(self) -> dict[str, Any]:
        return await self._receive()
