"""The stores of a service, by their ids."""

from __future__ import annotations

from collections.abc import Mapping

from douane.stores import Store

from .service_documents import StoreInfo


class StoreSet:
    """The stores, the heaviest first and then by id: the order in which clients see them."""

    def __init__(self, infos: Mapping[str, StoreInfo], stores: Mapping[str, Store]) -> None:
        """`infos` and `stores` have the same ids, and one of the infos is the default."""
        self.infos = sorted(infos.values(), key=lambda info: (-info.weight, info.id))
        self.ids = tuple(info.id for info in self.infos)
        self.default = next(info.id for info in self.infos if info.is_default)
        self._stores = dict(stores)

    def __getitem__(self, store_id: str) -> Store:
        """The store; KeyError if there is none."""
        return self._stores[store_id]

    def __contains__(self, store_id: str) -> bool:
        return store_id in self._stores
