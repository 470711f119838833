"""The images of a catalog and its stores: those of the command line, and of `douane serve`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from douane.catalog import AcceptedImport, Catalog, CopyFacts, Image
from douane.catalog.records import strongest_digest
from douane.catalog.states import READABLE
from douane.declared import DeclaredImage
from douane.errors import Conflict, DouaneError, NotFound, StoreError
from douane.imports.service_stores import Stores
from douane.report import Report
from douane.stream.source import Source
from douane.stream.stored_source import source_of

from .fingerprints import recorded_fingerprint
from .places import Entry, require_bytes
from .state import Judged, Record

PAGE = 500
"""Images at a time: their lists of packages are in memory, of 5 KiB each, at most 128 KiB."""

IMPORTS = 50
"""Images whose reports are in memory at the same time."""


class CatalogPlace:
    """See :class:`~douane.rescan.places.Place`."""

    name = "catalog"

    def __init__(self, catalog: Catalog, stores: Stores, images: Sequence[str] = ()) -> None:
        """`images` are the ids of the only ones to judge; none: all active ones."""
        self._catalog = catalog
        self._stores = stores
        self._images = images
        self._page: list[str] = []
        self._imports: dict[str, list[AcceptedImport]] = {}

    def pages(self) -> Iterator[list[Entry]]:
        """See Place."""
        if self._images:
            images = [self._catalog.image(image_id) for image_id in self._images]
            for image in images:
                require_bytes(image.id, image.status)
            yield self._entries(images)
            return
        last = ""
        while images := self._catalog.active_images(last, PAGE):
            last = images[-1].id
            yield self._entries(images)

    def _entries(self, images: Sequence[Image]) -> list[Entry]:
        self._page, self._imports = [image.id for image in images], {}
        return [entry for image in images for entry in entries_of(image)]

    def recorded(self, entry: Entry) -> Judged | None:
        """See Place: by the report of the last import that let these bytes in."""
        judged = (judged_of(accepted, entry) for accepted in reversed(self._imports_of(entry.image)))
        return next((each for each in judged if each is not None), None)

    def _imports_of(self, image: str) -> list[AcceptedImport]:
        """Its imports that were let in; with those of the images that follow in the page, which are asked for next."""
        if image not in self._imports:
            start = self._page.index(image)
            following = self._page[start : start + IMPORTS]
            imports = self._catalog.accepted_imports(following)
            self._imports = {each: imports.get(each, []) for each in following}
        return self._imports[image]

    def open(self, entry: Entry) -> Source:
        """See Place: from the first store that gives them."""
        failure: DouaneError = StoreError(f"no store has the bytes of the image {entry.image}", code="not-found")
        for store_id in entry.stores:
            try:
                return source_of(self._stores.by_id(store_id).store.open(entry.image), f"the image {entry.image}")
            except DouaneError as error:
                failure = error
        raise failure

    def has(self, entry: Entry) -> bool:
        """See Place."""
        with contextlib.suppress(NotFound):
            return self._catalog.image(entry.image).status in READABLE
        return False

    def deactivate(self, entry: Entry) -> bool:
        """See Place."""
        with contextlib.suppress(Conflict, NotFound):  # deactivated or deleted meanwhile
            self._catalog.deactivate(entry.image)
            return True
        return False


def entries_of(image: Image) -> Iterator[Entry]:
    """The image's own bytes, and the copies that transforms made of it."""
    tenant = {name: value for name, value in image.properties.items() if name not in image.sources}
    declared = DeclaredImage(name=image.name, properties=tenant, owner=image.owner)
    copies: list[tuple[str | None, list[str], CopyFacts]] = [(None, image.own_stores, image.facts)]
    copies += [(store, [store], facts) for store, facts in image.variants.items()]
    for variant_of, stores, facts in copies:
        if not stores:
            continue
        yield Entry(
            image=image.id,
            name=image.name,
            size=facts.size,
            content=content_of(facts.digests, facts.size),
            digests=dict(facts.digests),
            declared=declared.replace(disk_format=facts.disk_format, container_format=facts.container_format),
            stores=tuple(stores),
            variant_of=variant_of,
        )


def content_of(digests: Mapping[str, str], size: int) -> str:
    """The strongest digest. The bytes of an image never change, so one without digests is known by its size."""
    name = strongest_digest(digests)
    return f"size:{size}" if name is None else f"{name}:{digests[name]}"


def judged_of(accepted: AcceptedImport, entry: Entry) -> Judged | None:
    """The verdicts in the report of an import, if they are of these bytes."""
    document = accepted.report
    if entry.variant_of is not None:
        document = document.get("variants", {}).get(entry.variant_of)
    try:
        report = msgspec.convert(document, Report)
    except msgspec.ValidationError:
        return None
    if content_of(report.stored.digests(), report.stored.size) != entry.content:
        return None
    records = {
        verdict.plugin: Record(recorded_fingerprint(verdict.ran, report, accepted.created_at[:10]), verdict)
        for verdict in report.verdicts_on_stored()
        if verdict.ran is not None and verdict.outcome in ("accepted", "refused", "incomplete")
    }
    return Judged(
        content=entry.content,
        declared=_declared_then(accepted, report, entry),
        transformed=report.is_transformed,
        records=records,
    )


def _declared_then(accepted: AcceptedImport, report: Report, entry: Entry) -> str:
    """The digest of the facts that the import judged by, with those that it set itself."""
    declared = accepted.declared
    if declared is None:
        return ""
    properties = dict(declared.properties)
    for name, proposed in report.proposed.items():
        properties.pop(name, None)
        if proposed.value is not None:
            properties[name] = entry.declared.properties.get(name, "")
    then = declared.replace(
        properties=properties, disk_format=report.disk_format, container_format=report.container_format
    )
    return msgspec.structs.replace(entry, declared=then).declared_digest
