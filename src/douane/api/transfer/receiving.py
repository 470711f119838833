"""One upload from its headers to its answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from douane.api.errors import HttpError, bad_request, quoted
from douane.api.identity.rights import Identity, require_change
from douane.api.service import Service
from douane.catalog import Image, ImportRequest, Task
from douane.catalog.records import time_text
from douane.errors import DouaneError
from douane.imports import tracing
from douane.imports.inline import Done
from douane.imports.variants import bound_stores
from douane.plan import binding

from .empty_image import make_empty_image
from .image_body import ImageBody
from .request_body import RequestBody
from .spool import require_room
from .upload import Upload, require_queued
from .upload_answers import UploadMethod, after_body, require_accepted


class Sender(msgspec.Struct, frozen=True):
    """Who uploads, and by which request."""

    identity: Identity
    request_id: str
    trace: str | None = None
    """The step of the trace, for those that follow."""


def require_imports(service: Service) -> None:
    """Raise HttpError 503 while the operator has stopped new imports, and if there is no plan."""
    if service.served is None or service.uploads is None or service.imports_are_stopped():
        raise HttpError(
            503,
            "This service takes no new images at the moment: its operator has stopped imports. Repeat the request "
            "later.",
            headers={"Retry-After": "60"},
        )


async def receive_upload(
    service: Service, sender: Sender, image_id: str, method: UploadMethod, upload: Upload, request_body: RequestBody
) -> None:
    """Receive the bytes of an image, and have them run. Raises HttpError, and DouaneError, if they are not let in."""
    require_imports(service)
    step = tracing.begin("upload", sender.trace)
    step.set(douane__method=method, douane__image_id=image_id)
    sender = msgspec.structs.replace(sender, trace=step.traceparent)
    try:
        end = await _receive(service, sender, image_id, method, upload, request_body)
        step.set(douane__outcome=end.outcome, douane__code=end.code)
        require_accepted(end, method)
    finally:
        step.end()


async def _receive(
    service: Service, sender: Sender, image_id: str, method: UploadMethod, upload: Upload, request_body: RequestBody
) -> Done:
    assert service.uploads is not None, "it takes images"
    with service.uploads.admitted():
        image = await service.pool.run(require_right, service, sender.identity, image_id, upload)
        body = ImageBody(request_body, upload, service.options.max_image_size)
        begin = task_maker(service, sender, image, method, upload)
        make_empty = None
        if method == "upload" and (image.disk_format, image.container_format) == ("raw", "bare"):

            def make_empty() -> None:
                make_empty_image(service, begin)

        try:
            return await service.uploads.run(body, begin, make_empty)
        except (DouaneError, HttpError) as error:
            raise after_body(error, body.received) from error


def request_of(
    service: Service, sender: Sender, stores: tuple[str, ...], import_req: object | None = None
) -> ImportRequest:
    """The facts of a request that its task keeps."""
    identity = sender.identity
    expires = datetime.now(UTC) + timedelta(seconds=service.options.task_expiry)
    return ImportRequest(
        owner=identity.project_id,
        user_id=identity.user_id,
        request_id=sender.request_id,
        import_req=import_req,
        stores=stores,
        expires_at=time_text(expires),
        trace=sender.trace,
        roles=tuple(sorted(identity.roles)),
    )


def require_right(service: Service, identity: Identity, image_id: str, upload: Upload) -> Image:
    """The image that may get these bytes. Raises HttpError 403, 404, 409, 410, 400 or 503."""
    image, access = service.visible(identity, image_id)
    require_change(identity, access, "upload data to")
    require_queued(image.status)
    if upload.store is not None and upload.store not in service.stores:
        stores = ", ".join(service.stores.ids)
        raise bad_request(f"There is no store {quoted(upload.store)}; the stores are {stores}.")
    for name, value in (("disk_format", image.disk_format), ("container_format", image.container_format)):
        if value is None:
            raise bad_request(f"The image has no '{name}'; set it before the upload.")
    require_room(service.stores.default.store, upload.announced)
    return image


def import_door(sender: Sender) -> binding.Sender:
    """The sender of a staged image, as plugins are bound to senders."""
    return binding.Sender("import", tuple(sender.identity.roles))


def default_store(service: Service, image: Image) -> str:
    """The store of an upload or an import that names none."""
    return _wanted_store(service, image) or service.stores.default.id


def _wanted_store(service: Service, image: Image) -> str | None:
    """The store that the image was made for, if it is still there."""
    return image.wanted_store if image.wanted_store in service.stores else None


def _stores(service: Service, sender: Sender, image: Image, method: UploadMethod, upload: Upload) -> tuple[str, ...]:
    """The stores that the bytes are written into as they come: the one that the client names, and when they are staged,
    those that the operator chose, except stores that will get what a transform makes of the image."""
    chosen: list[str] = []
    if method == "glance-direct" and service.served is not None:
        chosen = list(service.options.staging_stores)
        bound = bound_stores(service.served.plan, import_door(sender), chosen)
        chosen = [store for store in chosen if store not in bound]
    named = upload.store or _wanted_store(service, image)
    stores = [*([] if named is None else [named]), *chosen]
    return tuple(dict.fromkeys(stores)) or (service.stores.default.id,)


def task_maker(
    service: Service, sender: Sender, image: Image, method: UploadMethod, upload: Upload
) -> Callable[[str, int | None], Task]:
    """What makes the task of an upload: `Begin` of `uploads`."""
    served = service.served
    assert served is not None, "without a plan nothing is received"
    stores = _stores(service, sender, image, method, upload)

    def begin(worker: str, size: int | None) -> Task:
        return service.catalog.begin_upload(
            image.id,
            method=method,
            plan=msgspec.to_builtins(served.plan),
            plan_digest=served.facts.digest,
            worker=worker,
            total=upload.announced if upload.announced is not None else size,
            request=request_of(service, sender, stores),
            quotas=service.options.upload_quotas,
        )

    return begin
