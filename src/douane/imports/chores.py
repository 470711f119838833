"""Recurring work that one worker of all machines does when it is idle: a chore each, with a lease in the catalog."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from douane.catalog import Catalog

from .service_stores import Stores
from .settling import Settling

log = logging.getLogger("douane")

SWEEP_SECONDS = 60.0
COPIES_SECONDS = 600.0
"""How often copies of deleted images are looked for, of which there are none unless something went wrong."""

STRAYS_SECONDS = 21600.0
"""How often a store is searched for what late requests left: two lists of everything in it."""

LEASE_SECONDS = 300.0
LOOK_SECONDS = 10.0
"""How often an idle worker asks whether anything is due."""

EXPIRY, COPIES, SWEEP, STRAYS = "expiry", "copies-of-deleted", "sweep:", "strays:"


class Chores:
    """The chores of one worker."""

    def __init__(
        self,
        catalog: Catalog,
        stores: Stores,
        settling: Settling,
        worker: str,
        staged_expiry: float,
        reached: Callable[[], Collection[str]],
    ) -> None:
        """`reached` are the stores that the worker reaches now: it sweeps no others."""
        self._catalog = catalog
        self._settling = settling
        self._worker = worker
        self._expiry = staged_expiry
        self._reached = reached
        self._sweeps = {f"{SWEEP}{place.id}"[:64]: place.id for place in stores}
        self._searches = {f"{STRAYS}{place.id}"[:64]: place.id for place in stores}
        self._are_known = False
        self.pause = min(LOOK_SECONDS, staged_expiry / 8)
        """Seconds between two looks."""

    def run_due(self) -> None:
        """Do what is due and nobody else does. Raises CatalogError."""
        if not self._are_known:
            self._catalog.add_chores([EXPIRY, COPIES, *self._sweeps, *self._searches])
            self._are_known = True
        for name in self._catalog.due_chores():
            chore = self._chore(name)
            if chore is not None and self._catalog.take_chore(name, self._worker, lease_s=LEASE_SECONDS):
                work, every = chore
                work()
                self._catalog.finish_chore(name, self._worker, again_in_s=every)

    def _chore(self, name: str) -> tuple[Callable[[], None], float] | None:
        """What a chore is, and how often it is done; None if it is not for this worker."""
        every = min(SWEEP_SECONDS, self._expiry / 4)
        if name == EXPIRY:
            return self._end_old, every
        if name == COPIES:
            return self._settling.delete_copies_of_deleted, COPIES_SECONDS
        store_id = self._sweeps.get(name) or self._searches.get(name)
        if store_id is None or store_id not in self._reached():
            return None
        if name in self._searches:
            return lambda: self._settling.delete_strays_in(store_id), STRAYS_SECONDS
        return lambda: self._settling.delete_remnants_in(store_id), every

    def _end_old(self) -> None:
        self._settling.end_expired(self._expiry)
        self._settling.end_stranded(self._expiry)
        self._catalog.forget_workers()
