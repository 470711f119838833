"""Which stores a worker reaches now: tasks that need others are for other workers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Literal

from douane.catalog import Catalog
from douane.errors import CatalogError, StoreError

from .service_stores import ServiceStore, Stores, learn_identity

log = logging.getLogger("douane")

LOOK_SECONDS = 10.0
FIRST_LOOK_SECONDS = 5.0
SILENT_SECONDS = 20.0
"""A file server that does not answer for so long is away."""

State = Literal["reached", "another", "away"]


class Reach:
    """Looks at the stores of a worker from time to time, in a thread of its own: a file server that does not answer
    holds up this thread, and not the imports into other stores."""

    def __init__(
        self,
        stores: Stores,
        catalog: Catalog,
        recorded: Mapping[str, str],
        worker: str,
        *,
        alone: bool = True,
        every: float = LOOK_SECONDS,
        first: float = FIRST_LOOK_SECONDS,
    ) -> None:
        """`recorded` are the identities of stores that the catalog is known to have. `alone`: no other machine has
        workers."""
        self._alone = alone
        self._ever_reached: set[str] = set()
        self._stores = stores
        self._catalog = catalog
        self._recorded = dict(recorded)
        self._worker = worker
        self._every = every
        self._states: dict[str, State] = dict.fromkeys(stores.ids, "away")
        self._elsewhere: frozenset[str] = frozenset()
        self._looking: tuple[str, float] | None = None
        self._ended = threading.Event()
        has_looked = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(has_looked,), name="douane-reach", daemon=True)
        self._thread.start()
        has_looked.wait(first)

    @property
    def ids(self) -> tuple[str, ...]:
        """The stores that this worker reaches; and those that were lost, unless another worker reaches them: an import
        into a store that is away fails, and does not wait. One that this machine never had is another's to wait for."""
        return tuple(store_id for store_id in self._stores.ids if self._is_reached(store_id))

    def _is_reached(self, store_id: str) -> bool:
        state = self._states[store_id]
        looking = self._looking
        if looking is not None and looking[0] == store_id and time.monotonic() - looking[1] > SILENT_SECONDS:
            state = "away"
        if state != "away":
            return state == "reached"
        return store_id not in self._elsewhere and (self._alone or store_id in self._ever_reached)

    def _run(self, has_looked: threading.Event) -> None:
        while True:
            self._look_at_all()
            has_looked.set()
            if self._ended.wait(self._every):
                return

    def _look_at_all(self) -> None:
        for place in self._stores:
            self._looking = (place.id, time.monotonic())
            state = self._look(place)
            if state != self._states[place.id]:
                self._say(place, state)
            self._states[place.id] = state
            if state == "reached":
                self._ever_reached.add(place.id)
        self._looking = None
        if "away" in self._states.values():
            self._ask_others()

    def _look(self, place: ServiceStore) -> State:
        if place.guard is None:
            return "reached"
        try:
            place.guard.compare(place.id, place.settings.url, self._recorded)
            if place.id not in self._recorded:
                learn_identity(place, self._catalog, self._recorded)
        except StoreError:
            return "away" if place.guard.refusal is None else "another"  # until it says that it is the right one
        except CatalogError as error:
            log.error("the identity of the store %s cannot be recorded now: %s", place.id, error)
        return "reached" if place.guard.refusal is None else "another"

    def _say(self, place: ServiceStore, state: State) -> None:
        if state == "another" and place.guard is not None:
            log.error("%s; worker %s does not use it", place.guard.refusal, self._worker)
        elif state == "away":
            log.error("the store %s is away: worker %s leaves it to others that reach it", place.id, self._worker)

    def _ask_others(self) -> None:
        try:
            workers = self._catalog.workers()
        except CatalogError:
            return  # nothing is claimed, either
        elsewhere = [
            worker.stores or () for worker in workers if worker.name != self._worker and worker.state == "active"
        ]
        self._elsewhere = frozenset(store_id for stores in elsewhere for store_id in stores)

    def close(self) -> None:
        """End the thread, unless a store holds it up."""
        self._ended.set()
        self._thread.join(1.0)
