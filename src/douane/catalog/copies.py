"""The recorded copies of images: what a check of the stores compares with what lies there."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from .database import Database
from .records import CopyFacts, Status, copy_facts_of
from .rows import BATCH
from .schema import UNFINISHED, images, stores, tasks
from .staged_source import stores_of
from .states import READABLE
from .values import from_json


class ImageCopies(msgspec.Struct, frozen=True, kw_only=True):
    """An image and its copies, as far as they are recorded."""

    id: str
    status: Status
    size: int | None
    digests: dict[str, str]
    task_id: str | None
    """The import or the copying that owns the image now."""

    stores: dict[str, CopyFacts | None]
    """By the id of the store; None: the copy is the image's own bytes."""

    def size_in(self, store: str) -> int:
        """The bytes that the copy in `store` has."""
        facts = self.stores[store]
        return (self.size or 0) if facts is None else facts.size

    def digests_in(self, store: str) -> dict[str, str]:
        """The digests that the copy in `store` has."""
        facts = self.stores[store]
        return self.digests if facts is None else facts.digests


class TaskPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """The stores of a task that has not ended."""

    id: str
    image_id: str
    targets: list[str]
    """The stores that it is imported into; empty if the import has not been requested."""

    sources: list[str]
    """The stores that have the bytes with which it begins."""

    needs: str | None
    """What a worker that begins it must reach, as :func:`douane.catalog.needs.can_run` reads it; None: nothing, or a
    worker has it."""


class Copies:
    """The queries of recorded copies; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def readable_copies(self, marker: str = "", limit: int = 1000) -> list[ImageCopies]:
        """Active and deactivated images in the order of their ids, from the first behind `marker`, at most `limit`."""
        readable = images.c.status.in_(READABLE)
        page = select(images.c.id).where(images.c.id > marker, readable).order_by(images.c.id).limit(limit)
        with self._database.read() as connection:
            ids = list(connection.execute(page).scalars())
            return list(_copies(connection, ids).values())

    def copies_of(self, image_ids: Sequence[str]) -> dict[str, ImageCopies]:
        """The images among `image_ids` that the catalog knows, deleted images included."""
        with self._database.read() as connection:
            return _copies(connection, image_ids)

    def task_places(self) -> list[TaskPlaces]:
        """The stores of all tasks that have not ended, oldest first."""
        columns = (
            tasks.c.id,
            tasks.c.image_id,
            tasks.c.stores,
            tasks.c.source,
            tasks.c.requested,
            tasks.c.step,
            tasks.c.needs,
        )
        query = select(*columns).where(UNFINISHED).order_by(tasks.c.created_at, tasks.c.id)
        with self._database.read() as connection:
            return [
                TaskPlaces(
                    id=row.id,
                    image_id=row.image_id,
                    targets=from_json(row.stores) if row.stores and row.requested else [],
                    sources=stores_of(from_json(row.source)) if row.source else [],
                    needs=row.needs if row.step == "waiting" else None,
                )
                for row in connection.execute(query)
            ]

    def copied_bytes(self) -> tuple[int, int]:
        """The number of recorded copies, and of the bytes in them."""
        size = func.coalesce(stores.c.size, images.c.size, 0)
        query = select(func.count(), func.coalesce(func.sum(size), 0))
        with self._database.read() as connection:
            row = connection.execute(query.select_from(stores).join(images, images.c.id == stores.c.image_id)).one()
            return int(row[0]), int(row[1])


def _copies(connection: Connection, ids: Sequence[str]) -> dict[str, ImageCopies]:
    by_id: dict[str, ImageCopies] = {}
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        recorded = _stores(connection, stores.c.image_id.in_(batch))
        columns = (images.c.id, images.c.status, images.c.size, images.c.digests, images.c.task_id)
        for row in connection.execute(select(*columns).where(images.c.id.in_(batch)).order_by(images.c.id)):
            by_id[row.id] = ImageCopies(
                id=row.id,
                status=row.status,
                size=row.size,
                digests={} if row.digests is None else from_json(row.digests),
                task_id=row.task_id,
                stores=recorded.get(row.id, {}),
            )
    return by_id


def _stores(connection: Connection, where: ColumnElement[bool]) -> dict[str, dict[str, CopyFacts | None]]:
    recorded: dict[str, dict[str, CopyFacts | None]] = {}
    for row in connection.execute(select(stores.c.image_id, stores.c.store, stores.c.facts).where(where)):
        recorded.setdefault(row.image_id, {})[row.store] = copy_facts_of(row.facts)
    return recorded
