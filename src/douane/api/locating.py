"""Register the location of an image's bytes: read through the plan where a store of this service has them."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from douane.catalog import Image, Task
from douane.errors import StoreError
from douane.imports.locations import LOCATION_IMPORT, MARK, MARKED_BY, PLACE, Location, find_location

from .documents.records import Document, location_list_document
from .errors import HttpError, bad_request, conflict, forbidden, over_quota
from .identity.rights import Identity, require_change, require_service
from .requests.location_request import NewLocation
from .service import Service
from .transfer.receiving import Sender, request_of
from .transfer.spool import require_room

log = logging.getLogger("douane.api")

_REPORT = {"outcome": "accepted", "message": "The bytes lie elsewhere, so no plugin read them.", "verdicts": []}


def list_locations(service: Service, identity: Identity, image_id: str) -> list[Document]:
    """Where the bytes of an image are. Raises HttpError."""
    require_service(identity)
    image, _ = service.visible(identity, image_id)
    stores = service.stores
    urls = [(stores.by_id(store).store.location(image.id), store) for store in image.stores if store in stores]
    known = [(url, store) for url, store in urls if url is not None]
    foreign = foreign_location(image)
    return location_list_document([*known, *([(foreign, "")] if foreign is not None else [])], image.variants)


def register_location(service: Service, sender: Sender, image_id: str, wanted: NewLocation) -> Task:
    """Begin the import of the bytes, or make the image active at once with a foreign location that the operator
    allows. Raises HttpError, DouaneError."""
    image = _image(service, sender.identity, image_id)
    allows = service.settings is not None and service.settings.foreign_locations == "allow"
    try:
        place = find_location(service.stores, wanted.url, images=allows)
    except StoreError as error:
        raise _unreadable(image, error) from error
    if place is None and not allows:
        raise forbidden(
            "No store of this service has the bytes at this location, so its plugins cannot read them. Upload the "
            f"bytes instead (PUT /v2/images/{image.id}/file)."
        )
    body = {"method": {"name": LOCATION_IMPORT}}  # without the URL: whoever sees the image sees its tasks
    if place is None:
        return _register_foreign(service, sender, image, wanted, body)
    store_id, size = place
    limit = service.options.max_image_size
    if limit is not None and size > limit:
        raise over_quota(f"The location has {size} bytes; an image may have {limit}.")
    require_room(service.stores.by_id(store_id).store, size)
    location = Location(url=wanted.url, store=store_id, images=allows, algorithm=wanted.algorithm, digest=wanted.digest)
    return service.catalog.begin_queued(
        image.id,
        source={"location": msgspec.to_builtins(location)},
        total=size,
        **_common(service, sender, (store_id,), body),
    )


def foreign_location(image: Image) -> str | None:
    """The URL of bytes that lie outside of all stores, and that nothing has inspected; None for all other images."""
    return image.properties.get(PLACE) if image.sources.get(PLACE) == MARKED_BY else None


def _image(service: Service, identity: Identity, image_id: str) -> Image:
    """The image, which may be given a location. The service token of a user's request adds the role `service` to that
    user's: it must not open the images of others."""
    require_service(identity)
    image, access = service.visible(identity, image_id)
    require_change(identity, access, "register a location of")
    if image.status != "queued":
        raise conflict(f"The image is {image.status}; only a queued image takes a location.")
    for name, value in (("disk_format", image.disk_format), ("container_format", image.container_format)):
        if value is None:
            raise conflict(f"The image has no '{name}'; set it before its location.")
    return image


def _common(service: Service, sender: Sender, stores: tuple[str, ...], body: Document) -> dict[str, Any]:
    served = service.served
    assert served is not None, "the caller has checked that there is a plan"
    return {
        "method": LOCATION_IMPORT,
        "plan": msgspec.to_builtins(served.plan),
        "plan_digest": served.facts.digest,
        "request": request_of(service, sender, stores, body),
        "quotas": service.options.upload_quotas,
    }


def _register_foreign(service: Service, sender: Sender, image: Image, wanted: NewLocation, body: Document) -> Task:
    """Active without bytes of ours, marked as not inspected. Its size is not known, and 0 in the catalog."""
    assert service.uploads is not None, "a service with a plan has a place for uploads"
    catalog = service.catalog
    task = catalog.begin_queued(image.id, worker=service.uploads.name, **_common(service, sender, (), body))
    digests: dict[str, str] = (
        {} if wanted.algorithm is None or wanted.digest is None else {wanted.algorithm: wanted.digest}
    )
    marks = {PLACE: (wanted.url, MARKED_BY), MARK: ("true", MARKED_BY)}
    ready = catalog.ready_to_publish(task, report=_REPORT, size=0, digests=digests, properties=marks)
    catalog.activate(ready)
    log.warning("image %s is active uninspected: its bytes lie at a foreign location", image.id)
    return catalog.task(task.id)


def _unreadable(image: Image, error: StoreError) -> HttpError:
    """What the store says names folders, so it is for the operator."""
    log.error("a location of image %s is refused: %s", image.id, error)
    if error.code == "in-use":
        return forbidden("The location has bytes of another image.")
    return bad_request("The location cannot be read: there is no file, or it is a link, or has several names.")
