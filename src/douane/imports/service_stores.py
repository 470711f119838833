"""The stores of `douane serve`, opened: several, with ids that clients know, and a default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from douane.errors import BadValue
from douane.stores import Store, open_store

from .settings import ServeSettings, StoreSettings


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


def open_stores(settings: ServeSettings) -> Stores:
    """Open every store of `settings`. Raises PlanError for a URL that no store understands, and StoreError."""
    ordered = tuple(
        ServiceStore(name, open_store(settings.stores[name].url), settings.stores[name])
        for name in settings.store_order
    )
    return Stores(ordered, settings.default_store)
