"""Bytes that another service wrote into one of our stores, and registered by their URL: read through the plan."""

from __future__ import annotations

import contextlib
import logging

import msgspec

from douane.catalog import Task
from douane.engine import Report
from douane.engine.served_plan import ServedPlan
from douane.errors import SourceError, StoreError
from douane.stream.source import Source
from douane.stream.stored_source import source_of

from .publishing import StoreOf
from .service_stores import Stores

log = logging.getLogger("douane")

LOCATION_IMPORT = "location-import"
"""The method of such a task."""

PLACE = "douane_location"
MARK = "douane_not_inspected"
"""Properties of an image whose bytes lie elsewhere, so that no plugin has read them; only the service writes them."""

MARKED_BY = "douane"


class Location(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The source of a task: ``{"location": …}``."""

    url: str
    store: str
    """The id of the store in which the bytes lie."""

    images: bool = False
    """The bytes may be those of another image: the operator allows it."""

    algorithm: str | None = None
    digest: str | None = None
    """What the bytes must have, in hexadecimal digits."""


def location_of(task: Task) -> Location | None:
    """The location that `task` begins with, if it does."""
    fields = task.source.get("location") if isinstance(task.source, dict) else None
    return None if fields is None else msgspec.convert(fields, Location)


def find_location(stores: Stores, url: str, *, images: bool) -> tuple[str, int] | None:
    """The id of the store in which the bytes at `url` lie, and their number; None if no store has them.

    Raises StoreError if they may not be read, or are not there.
    """
    found: tuple[str, int] | None = None
    # Every store is asked: in a store within another, such as a longer prefix of a bucket, the bytes may be an image's.
    for place in stores:
        stored = place.store.open_location(url, images=images)
        if stored is not None:
            with contextlib.closing(stored):
                found = found or (place.id, stored.size)
    return found


def open_location(task: Task, location: Location, store_of: StoreOf, name: str) -> Source:
    """The source of the bytes, which the caller closes. Raises SourceError if they are not those that were registered.

    What the store says names folders, so it is for the operator.
    """
    try:
        stored = store_of(location.store).open_location(location.url, images=location.images)
    except StoreError as error:
        log.error("import task %s: %s", task.id, error)
        stored = None
    if stored is None:
        raise SourceError(f"the location of {name} cannot be read any more")
    source = source_of(stored, name)
    if source.size == task.total:
        return source
    source.close()
    raise SourceError(
        f"{name} has {source.size} bytes, and had {task.total} when its location was registered",
        code="changed-while-read",
    )


def with_digest(served: ServedPlan, location: Location | None) -> ServedPlan:
    """The plan, which also takes the digest that the bytes of `location` must have."""
    taken = served.plan.received_digests
    if location is None or location.algorithm is None or location.algorithm in taken:
        return served
    plan = msgspec.structs.replace(served.plan, received_digests=(*taken, location.algorithm))
    return msgspec.structs.replace(served, plan=plan)


def wrong_digest(location: Location | None, report: Report, name: str) -> SourceError | None:
    """The error if the bytes that were read are not those that were registered, or were not all read."""
    if location is None or location.algorithm is None:
        return None
    actual = report.received.digests().get(location.algorithm)
    if actual == location.digest:
        return None
    return SourceError(
        f"{name} has the {location.algorithm} {actual}, and not {location.digest}, with which it was registered",
        code="wrong-digest",
    )
