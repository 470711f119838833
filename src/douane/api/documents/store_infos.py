"""The stores, as clients see them."""

from __future__ import annotations

from douane.imports.service_stores import Stores

from .service_documents import StoreInfo


def store_infos(stores: Stores) -> list[StoreInfo]:
    """What the documents of the stores show; without what may hold credentials."""
    return [
        StoreInfo(
            id=store.id,
            type=store.settings.url.partition(":")[0],
            description=store.settings.description,
            is_default=store.id == stores.default.id,
            weight=store.settings.weight,
            properties={"data_dir": store.settings.url.partition(":")[2]},
        )
        for store in stores
    ]
