"""The stores of `douane serve`, opened: several, with ids that clients know, and a default."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from douane.catalog import Catalog
from douane.errors import BadValue, CatalogError, PlanError, StoreError
from douane.stores import Store, open_store

from .settings import ServeSettings, StoreSettings
from .store_guard import StoreGuard

log = logging.getLogger("douane.serve")


@dataclass(frozen=True)
class ServiceStore:
    """A store and its id."""

    id: str
    store: Store
    settings: StoreSettings
    guard: StoreGuard | None = None
    """What `store` is behind, in a service."""


class Stores:
    """All stores of the service, the heaviest first, then in the order of their ids."""

    def __init__(self, stores: tuple[ServiceStore, ...], default: str) -> None:
        self.ordered = stores
        self._by_id = {store.id: store for store in stores}
        self.default = self._by_id[default]
        """The store of an import that names none."""

    def __iter__(self) -> Iterator[ServiceStore]:
        return iter(self.ordered)

    def __contains__(self, store_id: object) -> bool:
        return store_id in self._by_id

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, in the order of lists."""
        return tuple(store.id for store in self.ordered)

    def by_id(self, store_id: str) -> ServiceStore:
        """Raises BadValue, whose sentence lists the stores that exist."""
        try:
            return self._by_id[store_id]
        except KeyError:
            raise BadValue(f"there is no store {store_id!r:.80}; the stores are: {', '.join(self.ids)}") from None


def open_stores(settings: ServeSettings, catalog: Catalog | None = None, *, is_checked: bool = False) -> Stores:
    """Open every store of `settings`; those that hold images by `catalog` are not made anew if they are away.

    `is_checked`: the supervisor has opened them, so that a catalog that is away now is no reason not to begin. Raises
    PlanError for a URL that no store understands, StoreError, CatalogError.
    """
    ordered = tuple(_guarded(name, settings.stores[name]) for name in settings.store_order)
    holding = set() if catalog is None else _holding(settings, catalog, is_checked=is_checked)
    for place in ordered:
        if place.id in holding:
            place.store.expect_images()
    return Stores(ordered, settings.default_store)


def _guarded(name: str, settings: StoreSettings) -> ServiceStore:
    guard = StoreGuard(open_store(settings.url, settings.options))
    return ServiceStore(name, guard.as_store, settings, guard)


def _holding(settings: ServeSettings, catalog: Catalog, *, is_checked: bool) -> set[str]:
    try:
        return catalog.holding_stores(settings.store_order) | set(catalog.store_identities())
    except CatalogError as error:
        if not is_checked:
            raise
        # Nobody can say which stores hold images; and the supervisor has made those that were new.
        log.warning("all stores are expected to hold images: %s", error)
        return set(settings.store_order)


def know_stores(stores: Stores, catalog: Catalog) -> dict[str, str]:
    """Compare the identities of the stores with those of the catalog, which learns new ones; those that are known then.
    A store that is another one is refused from now on. Raises CatalogError."""
    recorded = dict(catalog.store_identities())
    for place in stores:
        with contextlib.suppress(StoreError):  # it is away, which shows when it is used
            learn_identity(place, catalog, recorded)
    return recorded


def learn_identity(place: ServiceStore, catalog: Catalog, recorded: dict[str, str]) -> None:
    """Compare a store with the recorded identity, or record it. Raises StoreError if the store cannot say its identity,
    CatalogError."""
    if place.guard is None:
        return
    identity = place.guard.compare(place.id, place.settings.url, recorded)
    if place.id not in recorded:
        recorded[place.id] = catalog.know_store(place.id, identity)
        place.guard.compare(place.id, place.settings.url, recorded)  # another process may have been faster


def compare_stores(stores: Stores, recorded: Mapping[str, str]) -> None:
    """Refuse stores that are others than the recorded ones, without the catalog."""
    for place in stores:
        if place.guard is not None:
            with contextlib.suppress(StoreError):
                place.guard.compare(place.id, place.settings.url, recorded)


def delete_copy(catalog: Catalog, stores: Stores, image_id: str, store_id: str) -> None:
    """Delete the bytes of a deleted image in one store, and record it. Raises StoreError, and CatalogError: NotFound if
    it is recorded already."""
    stores.by_id(store_id).store.delete(image_id)
    catalog.remove_store(image_id, store_id)


def _advice(store: Store) -> list[str]:
    advice: Callable[[], list[str]] | None = getattr(store, "advice", None)
    return [] if advice is None else advice()


def try_stores(stores: Stores, *, needs_default: bool = True, has_others: bool = False) -> None:
    """Stage nothing in each store, so that a wrong folder shows before the first image.

    Raises PlanError for the default store if it is needed, unless it is full: images can be read and deleted then. Of
    the others, the log says that imports into them will fail; or, with `has_others`, that workers of other machines may
    run them.
    """
    for store in stores:
        name = f"{store.id} ({store.settings.url})"
        if store.guard is not None and store.guard.refusal is not None:
            if needs_default and store is stores.default:
                raise PlanError(store.guard.refusal)
            log.error("%s; this machine does not use it", store.guard.refusal)
            continue
        try:
            staged = store.store.stage(str(uuid.uuid4()))
            staged.discard()
            staged.close()
            for sentence in _advice(store.store):
                log.warning("the store %s: %s", name, sentence)
        except StoreError as error:
            if needs_default and store is stores.default and error.code != "store-full":
                raise PlanError(f"the default store {name} cannot be used: {error}") from error
            if has_others:
                log.error("this machine does not reach the store %s, and leaves its imports to others: %s", name, error)
            else:
                log.error("imports into the store %s will fail: %s", name, error)
