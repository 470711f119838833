"""Repair what is safe to repair: each step asks the catalog and the store again before it changes something."""

from __future__ import annotations

import contextlib

import msgspec

from douane.catalog import Catalog
from douane.errors import CatalogError, NotFound, StoreError
from douane.imports.service_stores import Stores

from . import decisions
from .faults import Fault, Result


def repair(catalog: Catalog, stores: Stores, result: Result) -> None:
    """Repair the faults of `result`, and mark those that are repaired. What cannot be repaired says why."""
    damaged = {(fault.image, fault.store) for fault in result.faults if fault.image and fault.store}
    # Copies in a store with a fault of its own count for nothing: it is away, or another one.
    unknown = {fault.store for fault in result.faults if fault.store and fault.image is None and fault.key is None}
    damaged |= {(fault.image, store) for fault in result.faults if fault.image for store in unknown}
    intact = {summary.id for summary in result.stores if summary.intact}
    for number, fault in enumerate(result.faults):
        if fault.repair is None:
            continue
        try:
            reason = _repair(catalog, stores, fault, damaged, intact)
        except (StoreError, CatalogError) as error:
            reason = str(error)
        if reason is None:
            result.faults[number] = msgspec.structs.replace(fault, repaired=True)
        else:
            result.faults[number] = msgspec.structs.replace(fault, remedy=f"not repaired: {reason}; {fault.remedy}")


def _repair(
    catalog: Catalog, stores: Stores, fault: Fault, damaged: set[tuple[str, str]], intact: set[str]
) -> str | None:
    """None if it is done, otherwise why not."""
    assert fault.store is not None, "only faults of one store are repaired"
    if fault.key is not None:
        return _delete_staged(catalog, stores, fault.store, fault.key)
    assert fault.image is not None, "bytes are staged, or those of an image"
    if fault.repair == "delete-copy":
        return _delete_copy(catalog, stores, fault.store, fault.image)
    if fault.store not in intact:
        return "not a single copy of this store is there, so it may be another store"
    return _forget_copy(catalog, stores, fault.store, fault.image, damaged)


def _delete_staged(catalog: Catalog, stores: Stores, store: str, key: str) -> str | None:
    if key in catalog.staged_keys() or not stores.by_id(store).store.discard(key):
        return "the staged bytes are in use now, or gone"
    return None


def _delete_copy(catalog: Catalog, stores: Stores, store: str, image_id: str) -> str | None:
    if catalog.image(image_id).status != "deleted":  # a deleted image stays deleted, and its id is not used again
        return "the image is not deleted"
    stores.by_id(store).store.delete(image_id)
    with contextlib.suppress(NotFound):  # the record of this copy was gone before
        catalog.remove_store(image_id, store)
    return None


def _forget_copy(
    catalog: Catalog, stores: Stores, store: str, image_id: str, damaged: set[tuple[str, str]]
) -> str | None:
    image = catalog.copies_of([image_id]).get(image_id)
    if image is None or store not in image.stores:
        return None  # it is forgotten already
    if stores.by_id(store).store.exists(image_id):
        return "the bytes are there now"
    sizes: dict[str, int | None] = {}
    for holder in image.stores:
        if holder != store and holder in stores:
            with contextlib.suppress(StoreError):  # then this copy does not count
                sizes[holder] = stores.by_id(holder).store.size(image_id)
    if not decisions.may_forget(image, store, sizes, [holder for holder in sizes if (image_id, holder) in damaged]):
        return "no other copy is complete, or an import owns the image"
    catalog.remove_store(image_id, store)
    return None
