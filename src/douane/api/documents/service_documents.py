"""The documents about the service itself: versions, import methods, stores and usage (no. 1, 2 and 23 to 26)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from .records import Document

CURRENT = "v2.17"
VERSIONS = (CURRENT, "v2.15", *(f"v2.{minor}" for minor in range(13, -1, -1)))
"""Without 2.14, 2.16 and 2.18, which are about a cache. glanceclient looks for 2.12 and 2.17."""
PREFIXES = frozenset({"v2", *VERSIONS})
"""First segments of a path; all mean the same API."""

STORE_PROPERTIES: dict[str, tuple[str, ...]] = {
    "file": ("data_dir", "chunk_size", "thin_provisioning"),
    "rbd": ("chunk_size", "pool", "thin_provisioning", "fsid"),
    "s3": ("bucket", "region", "chunk_size"),
}
"""What an administrator sees of a store. No credentials: an endpoint is left out, because its URL may hold some."""
MEBIBYTE = 1 << 20
UNLIMITED = -1


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A store, as clients see it."""

    id: str
    type: str
    description: str = ""
    is_default: bool = False
    is_read_only: bool = False
    weight: int = 0
    properties: Mapping[str, str | int | bool] = {}


class Quantity(msgspec.Struct, frozen=True):
    """A quota and what a project uses of it; None: unlimited. Bytes, or a number of images."""

    usage: int
    limit: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a project uses of the service."""

    size: Quantity
    count: Quantity
    staged: Quantity
    uploading: Quantity


def versions_document(base: str) -> Document:
    """The versions (no. 1 and 2); `base` is the URL in front of ``/v2``."""
    href = base.rstrip("/") + "/v2/"
    return {
        "versions": [
            {
                "id": version,
                "status": "CURRENT" if version == CURRENT else "SUPPORTED",
                "links": [{"rel": "self", "href": href}],
            }
            for version in VERSIONS
        ]
    }


def import_info_document(methods: Sequence[str]) -> Document:
    """The import methods that are enabled (no. 23)."""
    return {
        "import-methods": {"description": "Import methods available.", "type": "array", "value": list(methods)},
    }


def stores_document(stores: Iterable[StoreInfo], *, detail: bool = False) -> Document:
    """The stores (no. 24), and with `detail` what only an administrator sees (no. 25).

    They are sorted by id, the heaviest first: Tempest compares the `stores` of an image with this order.
    """
    ordered = sorted(stores, key=lambda store: (-store.weight, store.id))
    return {"stores": [_store(store, detail) for store in ordered]}


def usage_document(usage: Usage) -> Document:
    """What the project of the token uses (no. 26); sizes in MiB."""
    return {
        "usage": {
            "image_size_total": _quantity(usage.size, MEBIBYTE),
            "image_count_total": _quantity(usage.count, 1),
            "image_stage_total": _quantity(usage.staged, MEBIBYTE),
            "image_count_uploading": _quantity(usage.uploading, 1),
        }
    }


def _store(store: StoreInfo, detail: bool) -> Document:
    # Glance writes the text "true", and leaves a key out where it is false.
    document: Document = {"id": store.id, "description": store.description}
    if store.is_default:
        document["default"] = "true"
    if store.is_read_only:
        document["read-only"] = "true"
    if detail:
        shared: dict[str, Any] = {
            name: store.properties[name] for name in STORE_PROPERTIES.get(store.type, ()) if name in store.properties
        }
        document |= {"type": store.type, "weight": store.weight, "properties": shared}
    return document


def _quantity(quantity: Quantity, unit: int) -> Document:
    # Rounded up: a project that uses anything does not read 0.
    limit = UNLIMITED if quantity.limit is None else quantity.limit // unit
    return {"limit": limit, "usage": -(-quantity.usage // unit)}
