"""Read the stores and the catalog. What looks like a fault is looked at twice: a running service changes both."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from douane.catalog import Catalog
from douane.catalog.copies import ImageCopies
from douane.errors import StoreError
from douane.imports.locations import MARKED_BY, PLACE
from douane.imports.publishing import opened_image
from douane.imports.service_stores import ServiceStore, Stores
from douane.stores import FileStore

from . import decisions
from .decisions import Look
from .digests import digest_of
from .faults import Fault, Result, StoreSummary

PAGE = 1000
"""Images that are asked for at once."""

_LOOKS_AT_ONCE = 8
"""Sizes that are asked for at once: an object store answers after milliseconds."""


@dataclass(frozen=True)
class CheckOptions:
    """What is checked."""

    digests: bool = False
    """Read all bytes, and compare their digests."""

    store: str | None = None
    """The id of the only store to check."""


class Check:
    """One check. It changes nothing."""

    def __init__(
        self, catalog: Catalog, stores: Stores, options: CheckOptions, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """`progress` gets the number of bytes of each piece that is read."""
        self._catalog = catalog
        self._stores = stores
        self._options = options
        self._progress = progress
        self._checked = [place for place in stores if options.store in (None, place.id)]
        self._summaries = {place.id: StoreSummary(id=place.id) for place in self._checked}
        self._unreachable: set[str] = set()
        self.result = Result(stores=list(self._summaries.values()))

    def run(self) -> Result:
        """Check everything. Raises CatalogError."""
        identities = self._catalog.store_identities()
        for place in self._checked:
            with self._reachable(place.id):
                if self._is_itself(place, identities.get(place.id)):
                    self._check_stored(place)
                    self._check_staged(place)
        self._check_recorded()
        if self._options.store is None:
            workers = [worker.stores for worker in self._catalog.workers() if worker.state == "active"]
            for task in self._catalog.task_places():
                fault = decisions.judge_task(task, self._stores.ids, workers)
                if fault is not None and self._catalog.task(task.id).outcome is None:
                    self._note(fault)
        return self.result

    def _is_itself(self, place: ServiceStore, recorded: str | None) -> bool:
        if recorded is None:
            return True
        place.store.expect_images()  # so that no identity is made
        actual = place.store.read_identity() if isinstance(place.store, FileStore) else place.store.identity()
        fault = decisions.judge_identity(place.id, recorded, actual)
        if fault is not None:
            self._leave_out(place.id)
            self._note(fault)
        return fault is None

    # -- what lies in the stores ------------------------------------------------------------------------------------

    def _check_stored(self, place: ServiceStore) -> None:
        for ids in _pages(place.store.image_ids()):
            self._summaries[place.id].images += len(ids)
            suspects = [image_id for image_id, _ in self._judge_stored(ids, place.id)]
            present = [image_id for image_id in suspects if place.store.exists(image_id)]
            for _, fault in self._judge_stored(present, place.id):
                self._note(fault)

    def _judge_stored(self, ids: Sequence[str], store: str) -> Iterator[tuple[str, Fault]]:
        records = self._catalog.copies_of(ids)
        for image_id in ids:
            fault = decisions.judge_stored(image_id, records.get(image_id), store)
            if fault is not None:
                yield image_id, fault

    def _check_staged(self, place: ServiceStore) -> None:
        suspects = list(place.store.staged_keys())
        self._summaries[place.id].staged = len(suspects)
        for _ in range(2):
            # In this order: a key is recorded before its first byte, or the claim of its process keeps the bytes.
            used = self._catalog.staged_keys() if suspects else set()
            others = self._catalog.keys_of_others(suspects) if suspects else set()
            faults = [fault for key in suspects if (fault := self._judge_staged(key, used, others, place)) is not None]
            suspects = [fault.key for fault in faults if fault.key is not None]
        for fault in faults:
            self._note(fault)

    def _judge_staged(self, key: str, used: set[str], others: set[str], place: ServiceStore) -> Fault | None:
        if key in used:
            return None
        if key in others:
            return decisions.staged_elsewhere(key, place.id)
        return decisions.judge_staged(key, used, place.id, is_abandoned=place.store.is_abandoned(key))

    # -- what the catalog records -----------------------------------------------------------------------------------

    def _check_recorded(self) -> None:
        unconfigured: Counter[str] = Counter()
        marker = ""
        with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="douane-look") as pool:
            while page := self._catalog.readable_copies(marker, PAGE):
                marker = page[-1].id
                for image in page:
                    unconfigured.update(store for store in image.stores if store not in self._stores)
                    if not image.stores and self._options.store is None:
                        self._check_without_copies(image)
                copies = [(image, store) for image in page for store in image.stores if store in self._summaries]
                looks = pool.map(lambda copy: self._look(*copy), copies)
                self._judge_copies(copies, looks)
        if self._options.store is None:
            for store, count in sorted(unconfigured.items()):
                self._note(decisions.judge_unconfigured(store, count))

    def _judge_copies(self, copies: Sequence[tuple[ImageCopies, str]], looks: Iterable[Look | None]) -> None:
        suspects: list[tuple[str, str, Look]] = []
        for (image, store), first in zip(copies, looks, strict=True):
            if first is None:
                continue
            look = self._read(image, store, first)
            summary = self._summaries[store]
            summary.copies += 1
            if decisions.judge_copy(image, store, look) is None:
                summary.intact += 1
            else:
                suspects.append((image.id, store, look))
        current = self._catalog.copies_of([image_id for image_id, _, _ in suspects])
        for image_id, store, look in suspects:
            now = current.get(image_id)
            again = None if now is None or store not in now.stores else self._look(now, store)
            if now is not None and again is not None:
                self._note(decisions.judge_copy(now, store, again._replace(digest=look.digest)))

    def _look(self, image: ImageCopies, store: str) -> Look | None:
        """What the store says; None if the store cannot be looked at."""
        if store in self._unreachable:
            return None
        try:
            return Look(size=self._stores.by_id(store).store.size(image.id))
        except StoreError as error:
            if error.code in decisions.STORE_CODES:
                self._note_unreachable(store, error)
                return None
            return Look(error=error)

    def _read(self, image: ImageCopies, store: str, look: Look) -> Look:
        """The same with the digest, if the bytes are to be read."""
        name = decisions.digest_to_compare(image, store)
        if not self._options.digests or name is None or look.size is None or look.size != image.size_in(store):
            return look
        summary = self._summaries[store]

        def count(length: int) -> None:
            summary.bytes_read += length
            self._progress(length)

        try:
            with opened_image(self._stores.by_id(store).store, image.id) as stored:
                digest = digest_of(stored, look.size, name, count)
        except StoreError as error:
            return Look(error=error)
        summary.digests += 1
        return look._replace(digest=digest)

    def _check_without_copies(self, image: ImageCopies) -> None:
        record = self._catalog.image(image.id)
        current = self._catalog.copies_of([image.id]).get(image.id, image)
        lies_elsewhere = record.sources.get(PLACE) == MARKED_BY
        self._note(decisions.judge_without_copies(current, lies_elsewhere=lies_elsewhere))

    # -- results ----------------------------------------------------------------------------------------------------

    def _note(self, fault: Fault | None) -> None:
        if fault is not None:
            self.result.add(fault)

    @contextlib.contextmanager
    def _reachable(self, store: str) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self._note_unreachable(store, error)

    def _note_unreachable(self, store: str, error: StoreError) -> None:
        if store not in self._unreachable:
            self._leave_out(store)
            self._note(decisions.judge_store(store, error))

    def _leave_out(self, store: str) -> None:
        self.result.is_complete = False
        self._unreachable.add(store)
        if store in self._summaries:
            self._summaries[store].is_checked = False


def _pages(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while page := list(islice(rest, PAGE)):
        yield page
