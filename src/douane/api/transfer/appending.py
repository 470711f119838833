"""Append a part to an open upload, from the claim of its bytes to what is kept of them."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import cast

from douane.api.errors import HttpError, http_error, not_found
from douane.api.service import Service
from douane.catalog import Task
from douane.errors import Conflict, DouaneError, StoreError
from douane.imports.recovery import BYTES_LOST
from douane.stores import Staged

from .empty_image import publish_empty
from .image_body import ImageBody
from .part import Part, PartPlace
from .receiving import require_imports
from .request_body import RequestBody
from .resumable import Limits, PartHeaders, limits_of, require_size, whole_length, wrong_offset
from .spool import require_room
from .turns import Superseded, Turn, to_its_end
from .upload import Upload
from .uploads import Uploads

UNBOUNDED = Upload(announced=None, store=None)
"""The bounds of a part are those of its upload."""
CLAIM_SECONDS = 5.0
"""How long a request waits until another door has let the staged bytes go."""
_CLAIM_PAUSE = 0.1


def uploads_of(service: Service) -> Uploads:
    uploads = service.uploads
    if uploads is None:
        raise not_found("This service takes no uploads.")
    return uploads


def creation_limits(service: Service) -> Limits:
    """The limits of an upload that begins now."""
    return limits_of(service.options.max_image_size, service.options.open_seconds)


def part_place(service: Service) -> PartPlace:
    def may_go_on() -> None:
        require_imports(service)
        if service.draining.is_set():
            raise HttpError(
                503, "This part of the service ends; go on with the upload at its offset.", headers={"Retry-After": "1"}
            )

    return PartPlace(
        catalog=service.catalog,
        store=service.stores.default.store,
        pool=service.uploading,
        io=service.io,
        seconds=service.options.open_seconds,
        limits=creation_limits(service),
        quotas=service.options.upload_quotas,
        may_go_on=may_go_on,
    )


async def append_part(
    service: Service, task_id: str, turn: Turn, order: PartHeaders, request_body: RequestBody
) -> Task:
    """The task after this part: open, or waiting for a worker. Raises HttpError, DouaneError; Superseded also if the
    task has ended."""
    uploads = uploads_of(service)
    try:
        task = await service.uploading.run(service.catalog.take_upload, task_id, uploads.name)
    except Conflict as error:
        raise Superseded from error
    place = part_place(service)
    with uploads.holding(task), uploads.turns.receiving(task.id, turn):
        try:
            length = _require_order(task, order, place)
            await service.io.run(require_room, place.store, order.part)
            staged = await claim_bytes(task, place)
        except BaseException:
            await to_its_end(_leave(task, place))
            raise
        return await _receive(service, Part(place, task, staged, length), turn, order, request_body)


def _require_order(task: Task, order: PartHeaders, place: PartPlace) -> int | None:
    """The length of the image. Raises HttpError 409, 400 or 413 before a byte is read."""
    offset = cast(int, order.offset)
    if offset != task.done:
        raise wrong_offset(task.done, offset)
    length = whole_length(order, task.done, task.total)
    require_size(length, order, task.done, place.limits)
    return length


async def claim_bytes(task: Task, place: PartPlace) -> Staged:
    """The staged bytes, cut to the offset. Raises Superseded if another door has taken the task by the time that the
    bytes are claimed: then it may have appended to them, and they may have a verdict. HttpError 503 if another door
    does not let them go, and 410 if they are lost: then the upload has ended."""
    deadline = time.monotonic() + CLAIM_SECONDS
    confirm = partial(place.catalog.confirm_upload, task)
    while True:
        try:
            return await to_its_end(place.io.run(place.store.resume, task.staged_key or "", task.done, confirm))
        except Conflict as error:
            raise Superseded from error
        except StoreError as error:
            if error.code in BYTES_LOST:
                message = "the bytes of the upload are lost; upload the image again"
                end = place.catalog.fail
                try:
                    await place.pool.run(end, task, outcome="undecided", code=error.code, message=message)
                except Conflict:  # not lost: another door has completed the upload, and a worker has taken them
                    raise Superseded from error
                raise HttpError(410, f"{message[0].upper()}{message[1:]}.", detail=str(error)) from error
            if error.code != "in-use":
                raise
            if time.monotonic() > deadline:
                message = "An earlier request still puts its bytes away; ask for the offset again."
                raise HttpError(503, message, headers={"Retry-After": "1"}) from error
        await asyncio.sleep(_CLAIM_PAUSE)


async def _leave(task: Task, place: PartPlace) -> None:
    """Nothing came: the upload is its client's again, unless it ended or is another's."""
    try:
        await place.pool.run(place.catalog.leave_upload, task)
    except (DouaneError, HttpError):
        return  # the lease of this door ends, and somebody looks after it


async def _receive(service: Service, part: Part, turn: Turn, order: PartHeaders, request_body: RequestBody) -> Task:
    body = ImageBody(request_body, UNBOUNDED, None)
    try:
        await part.receive(body, turn)
        if order.is_last:
            part.require_whole()
        if not order.is_last:
            await part.keep(leaves=True)
        elif part.offset == 0 and await service.pool.run(_takes_empty, service, part.task):
            await part.keep(0)
            await part.discard()
            return await service.pool.run(publish_empty, service, part.task)
        else:
            task = await part.complete()
            uploads_of(service).wake_workers()
            return task
    except (HttpError, DouaneError) as error:
        await to_its_end(part.end() if part.exceeds is not None else part.leave())
        raise part_answer(error, part) from error
    except BaseException:
        await to_its_end(part.leave())
        raise
    finally:
        service.metrics.upload_bytes.inc(body.received)
    await to_its_end(part.leave())
    return part.task


def part_answer(error: HttpError | DouaneError, part: Part) -> HttpError:
    """The answer to a part that was not received to its end: with the offset from which the client can go on."""
    answer = error if isinstance(error, HttpError) else http_error(error)
    if answer.status == 408:
        message = "The client sent nothing for too long, or too slowly. What arrived is kept: go on at its end."
        answer = HttpError(408, message)
    answer.headers["Upload-Complete"] = "?0"
    if part.exceeds is None and not isinstance(error, Superseded):
        answer.headers["Upload-Offset"] = str(part.recorded)
    return answer


def _takes_empty(service: Service, task: Task) -> bool:
    """An empty image that no plugin reads (`empty_image`)."""
    image = service.catalog.image(task.image_id)
    return task.method == "upload" and (image.disk_format, image.container_format) == ("raw", "bare")
