"""What a task needs of the worker that runs it: the stores which the worker has to reach.

The column ``needs`` of a task that waits has it as text, the same text for the same needs. None: any worker can run it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from .records import to_json
from .schema import stores as store_rows
from .staged_source import stores_of

COPY = "copy-image"


class Needs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ids of stores."""

    staged: tuple[str, ...] = ()
    """The bytes lie in each of these: one of them suffices. Empty: they come from elsewhere."""

    to: tuple[str, ...] = ()
    """All of these are written."""


def can_run(needs: str | None, reached: Collection[str] | None) -> bool:
    """True if a worker that reaches these stores (None: all) can run a task with these needs."""
    if needs is None or reached is None:
        return True
    parsed = msgspec.json.decode(needs, type=Needs)
    return set(parsed.to) <= set(reached) and (not parsed.staged or not set(reached).isdisjoint(parsed.staged))


def stores_in(needs: str | None) -> list[str]:
    """The ids of the stores in these needs, for messages."""
    required = msgspec.json.decode(needs or "{}", type=Needs)
    return sorted({*required.staged, *required.to})


def needs_text(staged: Iterable[str], to: Iterable[str]) -> str | None:
    """The text of these needs."""
    needs = Needs(tuple(sorted(set(staged))), tuple(sorted(set(to))))
    return None if needs == Needs() else to_json(needs)


def needs_of(
    connection: Connection, image_id: str, *, method: str, source: Any, stores: Collection[str], requested: bool
) -> str | None:
    """The needs of a task of the image with this `source`, which is imported into `stores`, as things are now."""
    holding: list[str] = []
    if method == COPY:
        copies = select(store_rows.c.store, store_rows.c.facts).where(store_rows.c.image_id == image_id)
        rows = connection.execute(copies).all()
        holding = [row.store for row in rows]
        staged = [row.store for row in rows if row.facts is None]
    else:
        location = source.get("location") if isinstance(source, dict) else None
        staged = [location["store"]] if location is not None else stores_of(source)
    # Until the import is requested, a worker stages the bytes in those of the stores that it reaches.
    to = set(stores) - set(holding) if requested else ()
    return needs_text(staged, to)
