"""The stores, as clients see them."""

from __future__ import annotations

from douane.imports.service_stores import Stores
from douane.imports.settings import StoreSettings

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
            properties=_properties(store.settings),
        )
        for store in stores
    ]


def _properties(settings: StoreSettings) -> dict[str, str]:
    scheme, _, location = settings.url.partition(":")
    return {"pool": location.removeprefix("//")} if scheme == "rbd" else {"data_dir": location}
