"""A part of an open upload: bytes that one request appends to what is kept."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable

import msgspec

from douane.api.errors import HttpError
from douane.api.pool import Pool
from douane.catalog import Catalog, Task, UploadQuotas
from douane.errors import Conflict, DouaneError, NotFound, OverQuota
from douane.stores import Staged, Store

from .image_body import ImageBody
from .resumable import Limits, inconsistent_length, over_size
from .spool import WRITTEN_AT_ONCE, write_pieces
from .turns import Superseded, Turn, to_its_end

log = logging.getLogger("douane.api")

KEPT_BYTES = 64 << 20
"""So much is lost at most if the door dies: then the bytes are brought to the disk, and the offset is recorded."""
KEPT_SECONDS = 5.0


class PartPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where parts go, and what bounds them."""

    catalog: Catalog
    store: Store
    pool: Pool
    """For the database."""

    io: Pool
    seconds: float
    """How long the upload may stay open after a byte."""

    limits: Limits
    quotas: UploadQuotas | None
    may_go_on: Callable[[], None]
    """Raises HttpError if the request has to end early, for its client to come again."""


class Part:
    """The bytes of one request, behind those of the open upload `task`, which this door holds."""

    def __init__(self, place: PartPlace, task: Task, staged: Staged, length: int | None) -> None:
        self._place = place
        self._staged = staged
        self._length = length
        self.task = task
        self.offset = task.done
        """Bytes that are written."""
        self.recorded = task.done
        """Bytes that are durable, and that the catalog knows of."""

        self.exceeds: HttpError | None = None
        """Why the upload cannot go on: more bytes came than were announced, or than the service takes."""

        self._recorded_at = time.monotonic()
        self._has_left = False
        self._pieces: list[bytes] = []
        self._waiting = 0

    async def receive(self, body: ImageBody, turn: Turn) -> None:
        """Append the body. What came before an error is kept by `leave`.

        Raises Superseded, the errors of the body, HttpError 400 and 413 for too many bytes, 413 for a quota, 503 for a
        full disk or a door that ends; StoreError, CatalogError.
        """
        while (piece := await turn.read(body)) is not None:
            self._require_fit(len(piece))
            self._pieces.append(piece)
            self._waiting += len(piece)
            if self._waiting >= WRITTEN_AT_ONCE:
                await self._write()
                seconds = time.monotonic() - self._recorded_at
                if self.offset - self.recorded >= KEPT_BYTES or seconds >= KEPT_SECONDS:
                    await self.keep()
                    self._place.may_go_on()
        await self._write()

    async def keep(self, length: int | None = None, *, leaves: bool = False) -> None:
        """Bring what was received to the disk, and record it; `length` is that of the whole image, if it is known now.
        With `leaves`, the request is over, and the upload is its client's again.

        Raises Superseded if the task is another's, or has ended; OverQuota.
        """
        place = self._place
        length = self._length if length is None else length
        if self.offset == self.recorded and length == self.task.total:
            return  # only bytes prolong the time of an upload
        await to_its_end(place.io.run(self._staged.keep, self.offset))
        record = place.pool.run(
            place.catalog.record_offset,
            self.task,
            self.offset,
            seconds=place.seconds,
            length=length,
            quotas=place.quotas,
            leaves=leaves,
        )
        try:
            self.task = await to_its_end(record)
        except Conflict as error:
            raise Superseded from error
        self._has_left = leaves
        self.recorded = self.offset
        self._recorded_at = time.monotonic()

    def require_whole(self) -> None:
        """Raise HttpError 400 if fewer bytes have come than were announced."""
        if self._length is not None and self._length != self.offset:
            raise inconsistent_length(f"The upload has {self._length} bytes, and {self.offset} arrived.")

    async def complete(self) -> Task:
        """All bytes have come: the task waits for a worker. Raises HttpError 400 if they are fewer than announced."""
        self.require_whole()
        await self.keep(self.offset)
        await to_its_end(self._place.io.run(self._staged.finish, self.offset))
        self._staged.close()
        release = self._place.catalog.release
        try:
            return await to_its_end(self._place.pool.run(release, self.task, source={"spool": self.task.staged_key}))
        except Conflict as error:
            raise Superseded from error

    async def leave(self) -> None:
        """Keep what has come, and leave the upload to its client. It raises nothing: what cannot be kept is sent again,
        and a door that cannot reach the catalog loses its lease."""
        place = self._place
        try:
            await self._keep_rest()
            if not self._has_left:
                await place.pool.run(place.catalog.leave_upload, self.task)
        except (Superseded, Conflict):
            await self._discard_if_ended()
        except (DouaneError, HttpError) as error:
            log.error("the open upload %s cannot be left to its client: %s", self.task.id, error)
        finally:
            self._staged.close()

    async def discard(self) -> None:
        """Delete the bytes."""
        await self._place.io.run(self._staged.discard)

    async def end(self) -> None:
        """More came than may come, so the upload ends: the image is queued again, and the bytes are deleted."""
        place = self._place
        error = self.exceeds
        code, message = ("over-quota", "too many bytes came") if error is None else (error.code or "", error.message)
        try:
            await place.pool.run(place.catalog.fail, self.task, outcome="undecided", code=code, message=message)
        except (Conflict, NotFound):
            await self._discard_if_ended()
        else:
            await self.discard()
        finally:
            self._staged.close()

    async def _keep_rest(self) -> None:
        """Keep what is not recorded yet, and leave."""
        try:
            await self._write()
            if self.offset > self.recorded:
                await self.keep(leaves=True)
        except OverQuota:
            await self._cut()
        except (DouaneError, HttpError) as error:
            if isinstance(error, Superseded):
                raise
            log.error("the last bytes of a part of the upload %s are not kept: %s", self.task.id, error)

    async def _cut(self) -> None:
        """Let bytes go that the project has no quota for: nobody counts them, and each attempt would add others."""
        try:
            await to_its_end(self._place.io.run(self._staged.cut, self.recorded))
        except (DouaneError, HttpError) as error:
            log.error("bytes over a quota of the upload %s cannot be deleted: %s", self.task.id, error)

    async def _discard_if_ended(self) -> None:
        with contextlib.suppress(DouaneError, HttpError):
            task = await self._place.pool.run(self._place.catalog.task, self.task.id)
            if task.outcome is not None:
                await self.discard()

    async def _write(self) -> None:
        if not self._pieces:
            return
        pieces, size = self._pieces, self._waiting
        self._pieces, self._waiting = [], 0
        place = self._place
        await to_its_end(place.io.run(write_pieces, place.store, self._staged, self.offset, pieces, size))
        self.offset += size

    def _require_fit(self, size: int) -> None:
        end = self.offset + self._waiting + size
        if self._length is not None and end > self._length:
            message = f"The upload has {self._length} bytes, and more arrived. Nothing was kept."
            self.exceeds = inconsistent_length(message, code="longer-than-announced")
        elif end > self._place.limits.get("max-size", end):
            self.exceeds = over_size(self._place.limits, code="over-quota")
        if self.exceeds is not None:
            raise self.exceeds
