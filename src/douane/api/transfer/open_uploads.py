"""Open uploads over HTTP: begin one, look at it, append to it, and cancel it."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from douane.api.errors import HttpError, conflict, http_error, not_found
from douane.api.identity.rights import Identity, require_change
from douane.api.requests.identifiers import read_uuid
from douane.api.service import Service
from douane.catalog import Image, Task
from douane.catalog.open_source import CLIENT, expiry_of, is_open, was_never_complete
from douane.errors import Conflict, DouaneError, NotFound
from douane.imports import tracing
from douane.imports.inline import Done

from .appending import UNBOUNDED, append_part, creation_limits, part_answer, part_place, uploads_of
from .image_body import ImageBody
from .part import Part
from .receiving import Sender, require_imports, require_right, task_maker
from .request_body import RequestBody
from .resumable import (
    Limits,
    PartHeaders,
    limit_header,
    limits_of,
    require_size,
    seconds_until,
    state_headers,
    whole_length,
    wrong_offset,
)
from .turns import Superseded, Turn, to_its_end
from .upload import Upload
from .upload_answers import UploadMethod, after_body, require_accepted
from .uploads import Uploads, failure_words

_METHODS = ("upload", "glance-direct")


class OpenUpload(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an upload resource."""

    path: str
    offset: int
    length: int | None
    is_complete: bool
    limits: Limits

    def headers(self) -> dict[str, str]:
        """Those of an answer about it."""
        state = state_headers(self.offset, self.length, is_complete=self.is_complete)
        return {**state, "Upload-Limit": limit_header(self.limits)}


def upload_path(service: Service, image_id: str, upload_id: str) -> str:
    """The path of an upload resource."""
    prefix = urlsplit(service.options.public_endpoint or "").path.rstrip("/")
    return f"{prefix}/v2/images/{image_id}/uploads/{upload_id}"


async def create(
    service: Service,
    sender: Sender,
    image_id: str,
    method: UploadMethod,
    upload: Upload,
    part: PartHeaders,
    request_body: RequestBody,
) -> OpenUpload:
    """Begin an open upload of an image with its first part, which may be empty. If the request breaks off, what was
    made durable meanwhile is kept: the next request of this kind is told where (`_require_no_other`). Raises HttpError,
    DouaneError."""
    require_imports(service)
    uploads = uploads_of(service)
    with uploads.admitted():
        await service.pool.run(_require_no_other, service, sender.identity, image_id)
        image = await service.pool.run(require_right, service, sender.identity, image_id, upload)
        length = whole_length(part, 0, upload.announced)
        require_size(length, part, 0, creation_limits(service))
        begin = task_maker(service, sender, image, method, upload)
        task = await service.uploading.run(begin, uploads.name, length)
        # From the first record on, others know of the upload, and may go on with it.
        async with uploads.turns.turn(task.id) as turn:
            with uploads.holding(task), uploads.turns.receiving(task.id, turn):
                task = await _receive_first(service, task, length, turn, request_body)
        return _state(service, task)


async def _receive_first(
    service: Service, task: Task, length: int | None, turn: Turn, request_body: RequestBody
) -> Task:
    """The open upload with its first part."""
    assert task.staged_key is not None, "the task of an upload has a key"
    place = part_place(service)
    body = ImageBody(request_body, UNBOUNDED, None)
    received: Part | None = None
    try:
        staged = await to_its_end(service.io.run(place.store.stage, task.staged_key))
        received = Part(place, task, staged, length)
        await received.receive(body, turn)
        await to_its_end(service.io.run(staged.keep, received.offset))
        opened = service.uploading.run(
            service.catalog.open_upload,
            task,
            offset=received.offset,
            length=length,
            seconds=place.seconds,
            quotas=place.quotas,
        )
        task = await to_its_end(opened)
    except BaseException as error:
        if received is not None and received.recorded:
            await to_its_end(received.end() if received.exceeds is not None else received.leave())
            if isinstance(error, (HttpError, DouaneError)):
                raise part_answer(error, received) from error
            raise
        if received is not None:
            await to_its_end(received.discard())
        await to_its_end(uploads_of(service).undo(task, *failure_words(error)))
        raise
    finally:
        service.metrics.upload_bytes.inc(body.received)
    staged.close()
    return task


async def look(service: Service, identity: Identity, image_id: str, upload_id: str) -> OpenUpload:
    """The state of an upload; a request that still appends to it ends first. Raises HttpError, DouaneError."""
    task = await service.pool.run(_require_upload, service, identity, image_id, upload_id)
    if is_open(task):
        async with uploads_of(service).turns.turn(task.id):
            task = await service.pool.run(_leave_to_client, service, task.id)
    return _state(service, task)


async def append(
    service: Service, sender: Sender, image_id: str, upload_id: str, part: PartHeaders, request_body: RequestBody
) -> OpenUpload:
    """Append a part; with the last one the answer waits for the verdict. Raises HttpError, DouaneError.

    An answer about the image, and not about the part, has the header Upload-Complete: ?1.
    """
    uploads = uploads_of(service)
    with uploads.admitted():
        task = await service.pool.run(_require_upload, service, sender.identity, image_id, upload_id)
        if is_open(task):
            require_imports(service)
            step = tracing.begin("upload", sender.trace)
            step.set(douane__method=task.method, douane__image_id=task.image_id, douane__offset=part.offset)
            try:
                async with uploads.turns.turn(task.id) as turn:
                    task = await append_part(service, task.id, turn, part, request_body)
            except Superseded:
                await _require_unfinished(service, task)
                raise
            finally:
                step.end()
        elif not await _asks_again(task, part, request_body):
            raise wrong_offset(task.total or 0, part.offset or 0, is_complete=True)
        if not is_open(task):
            await _require_accepted(uploads, task)
        return _state(service, task)


async def cancel(service: Service, identity: Identity, image_id: str, upload_id: str) -> None:
    """End an upload and delete its bytes. Raises HttpError, also for one that is complete; DouaneError."""
    task = await service.pool.run(_require_upload, service, identity, image_id, upload_id)
    if not is_open(task):
        raise conflict("The upload is complete: cancel its import, or delete the image.")
    async with uploads_of(service).turns.turn(task.id):
        message = "the upload was cancelled by its client"
        ended = await service.pool.run(service.catalog.cancel, task.id, message=message)
        # What another door still writes, it discards itself when it notices.
        await service.io.run(service.stores.default.store.discard, ended.staged_key or "")


async def _asks_again(task: Task, part: PartHeaders, request_body: RequestBody) -> bool:
    """True for the empty last part of a complete upload, whose answer may have been lost."""
    if not part.is_last or part.part or part.offset != task.total:
        return False
    return await request_body.read() is None  # it may come in chunks, whose length no header says


async def _require_accepted(uploads: Uploads, task: Task) -> None:
    """Wait for the verdict. Raises the HttpError of an image that was not let in, which says that it is no error of the
    upload."""
    try:
        end = await uploads.verdict(task)
        require_accepted(end, cast(UploadMethod, task.method))
    except (HttpError, DouaneError) as error:
        answer = after_body(error, 1)
        answer = answer if isinstance(answer, HttpError) else http_error(answer)
        answer.headers["Upload-Complete"] = "?1"
        raise answer from error


async def _require_unfinished(service: Service, task: Task) -> None:
    """Raise the HttpError of a task that ended while its bytes came: it was cancelled, or the image was deleted."""
    ended = await service.pool.run(service.catalog.task, task.id)
    if ended.outcome is not None:
        end = Done(cast(Any, ended.outcome), ended.code, ended.message)
        require_accepted(end, cast(UploadMethod, task.method))


def _require_no_other(service: Service, identity: Identity, image_id: str) -> None:
    """Raise HttpError 409 with the place of the image's open upload, if it has one: the answer that told its client may
    have been lost, or the client was started again."""
    image, access = service.visible(identity, image_id)
    require_change(identity, access, "upload data to")
    task = None if image.task_id is None else service.catalog.task(image.task_id)
    if task is not None and is_open(task):
        location = {"Location": upload_path(service, image.id, task.id)}
        raise HttpError(
            409, "The image has an upload that is not complete; go on with it, or cancel it.", headers=location
        )


def _require_upload(service: Service, identity: Identity, image_id: str, upload_id: str) -> Task:
    """The task of the upload. Raises HttpError 404, also for another's and for one that ended incomplete; 403."""
    image, access = service.visible(identity, image_id)
    require_change(identity, access, "upload data to")
    try:
        task = service.catalog.task(read_uuid(upload_id) or "")
    except NotFound:
        task = None
    if task is None or not _is_upload_of(task, image):
        raise not_found("There is no such upload: it was cancelled, it has expired, or it never was.")
    return task


def _is_upload_of(task: Task, image: Image) -> bool:
    if task.image_id != image.id or task.method not in _METHODS or was_never_complete(task):
        return False
    return is_open(task) or (task.total is not None and (task.step != "receiving" or task.source is not None))


def _leave_to_client(service: Service, task_id: str) -> Task:
    """The task, when no door appends to it: nothing is in flight any more that could change its offset."""
    task = service.catalog.task(task_id)
    if not is_open(task) or task.worker == CLIENT:
        return task
    uploads = uploads_of(service)
    try:
        return service.catalog.leave_upload(service.catalog.take_upload(task_id, uploads.name))
    except Conflict:  # it was completed, or it ended, or another request is faster
        return service.catalog.task(task_id)


def _state(service: Service, task: Task) -> OpenUpload:
    is_complete = not is_open(task)
    until = task.expires_at if is_complete else expiry_of(task)
    seconds = 0.0 if until is None else seconds_until(until)
    return OpenUpload(
        path=upload_path(service, task.image_id, task.id),
        offset=(task.total or 0) if is_complete else task.done,
        length=task.total,
        is_complete=is_complete,
        limits=limits_of(service.options.max_image_size, seconds),
    )
