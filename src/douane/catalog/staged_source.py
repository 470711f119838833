"""Where staged bytes lie: `Task.source` of a task whose bytes have a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def staged_source(key: str | None, stores: Sequence[str]) -> dict[str, Any]:
    """The source of accepted bytes that each of `stores` has under `key`.

    The first store has its own member: tasks of earlier versions have no other.
    """
    several = {"stores": list(stores)} if len(stores) > 1 else {}
    return {"staged": key, "store": stores[0], **several}


def stores_of(source: Any) -> list[str]:
    """The stores that have the bytes of `source`, the first to be read; empty if it does not name them."""
    if not isinstance(source, dict):
        return []
    return list(source.get("stores") or [store for store in [source.get("store")] if store is not None])
