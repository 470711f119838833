"""The stores of `douane serve`, opened: several, with ids that clients know, and a default."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from douane.catalog import Catalog
from douane.errors import BadValue, CatalogError, PlanError, StoreError
from douane.stores import Store, open_store

from .settings import ServeSettings, StoreSettings

log = logging.getLogger("douane.serve")


@dataclass(frozen=True)
class ServiceStore:
    """A store and its id."""

    id: str
    store: Store
    settings: StoreSettings


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
    ordered = tuple(
        ServiceStore(name, open_store(store.url, store.options), store)
        for name, store in ((name, settings.stores[name]) for name in settings.store_order)
    )
    holding = set() if catalog is None else _holding(settings, catalog, is_checked=is_checked)
    for place in ordered:
        if place.id in holding:
            place.store.expect_images()
    return Stores(ordered, settings.default_store)


def _holding(settings: ServeSettings, catalog: Catalog, *, is_checked: bool) -> set[str]:
    try:
        return catalog.holding_stores(settings.store_order)
    except CatalogError as error:
        if not is_checked:
            raise
        # Nobody can say which stores hold images; and the supervisor has made those that were new.
        log.warning("all stores are expected to hold images: %s", error)
        return set(settings.store_order)


def delete_copy(catalog: Catalog, stores: Stores, image_id: str, store_id: str) -> None:
    """Delete the bytes of a deleted image in one store, and record it. Raises StoreError, and CatalogError: NotFound if
    it is recorded already."""
    stores.by_id(store_id).store.delete(image_id)
    catalog.remove_store(image_id, store_id)


def _advice(store: Store) -> list[str]:
    advice: Callable[[], list[str]] | None = getattr(store, "advice", None)
    return [] if advice is None else advice()


def try_stores(stores: Stores, *, needs_default: bool = True) -> None:
    """Stage nothing in each store, so that a wrong folder shows before the first image.

    Raises PlanError for the default store if it is needed, unless it is full: images can be read and deleted then. Of
    the others, the log says that imports into them will fail.
    """
    for store in stores:
        name = f"{store.id} ({store.settings.url})"
        try:
            staged = store.store.stage(str(uuid.uuid4()))
            staged.discard()
            staged.close()
            for sentence in _advice(store.store):
                log.warning("the store %s: %s", name, sentence)
        except StoreError as error:
            if needs_default and store is stores.default and error.code != "store-full":
                raise PlanError(f"the default store {name} cannot be used: {error}") from error
            log.error("imports into the store %s will fail: %s", name, error)
