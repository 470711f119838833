"""Read and write the rows of one image or task, inside the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, insert, select

from douane.errors import NotFound

from .records import Image, Task, image_of, task_of
from .schema import images, properties, stores, tags, tasks

BATCH = 10_000
"""Ids in one statement: PostgreSQL takes 65,535 values, SQLite of Debian 250,000."""


def insert_properties(connection: Connection, image_id: str, entries: Mapping[str, tuple[str, str]]) -> None:
    """Add properties; `entries` maps a name to (value, source), where the source "" is the tenant."""
    rows = [
        {"image_id": image_id, "name": name, "value": value, "source": source}
        for name, (value, source) in entries.items()
    ]
    if rows:
        connection.execute(insert(properties), rows)


def insert_tags(connection: Connection, image_id: str, entries: Iterable[str]) -> None:
    """Add tags that the image does not have."""
    rows = [{"image_id": image_id, "tag": tag} for tag in entries]
    if rows:
        connection.execute(insert(tags), rows)


def set_stores(connection: Connection, image_id: str, entries: Iterable[str]) -> None:
    """Replace the stores that hold the image's bytes."""
    connection.execute(delete(stores).where(stores.c.image_id == image_id))
    rows = [{"image_id": image_id, "store": store} for store in entries]
    if rows:
        connection.execute(insert(stores), rows)


def apply_import(connection: Connection, image_id: str, entries: Mapping[str, tuple[str | None, str]]) -> None:
    """Add the properties that an import set. For the image itself (source "") a value replaces the tenant's property of
    that name, and None removes it."""
    names = [name for name, (_, source) in entries.items() if source == ""]
    if names:
        tenant = and_(
            properties.c.image_id == image_id, properties.c.source == "", properties.c.name.in_(sorted(names))
        )
        connection.execute(delete(properties).where(tenant))
    remaining = {name: (value, source) for name, (value, source) in entries.items() if value is not None}
    insert_properties(connection, image_id, remaining)


def task(connection: Connection, task_id: str) -> Task:
    """The task. Raises NotFound."""
    row = connection.execute(select(tasks).where(tasks.c.id == task_id)).first()
    if row is None:
        raise NotFound(f"there is no import task {task_id!r:.80}")
    return task_of(row._asdict())


def image(connection: Connection, image_id: str) -> Image:
    """The image, also a deleted image. Raises NotFound."""
    matches = images_where(connection, images.c.id == image_id)
    if not matches:
        raise NotFound(f"there is no image {image_id!r:.80}")
    return matches[0]


def images_by_id(connection: Connection, ids: Sequence[str]) -> list[Image]:
    """The images with these ids, in their order."""
    by_id: dict[str, Image] = {}
    for start in range(0, len(ids), BATCH):
        batch = images_where(connection, images.c.id.in_(ids[start : start + BATCH]))
        by_id.update((image.id, image) for image in batch)
    return [by_id[image_id] for image_id in ids]


def images_where(connection: Connection, where: ColumnElement[bool]) -> list[Image]:
    """The images for which `where` holds, oldest first, with their properties: four statements in all."""
    by_image: dict[str, dict[str, dict[str, str]]] = {}
    matching = select(properties).join(images, images.c.id == properties.c.image_id).where(where)
    for row in connection.execute(matching):
        by_image.setdefault(row.image_id, {}).setdefault(row.source, {})[row.name] = row.value
    image_tags = _words(connection, tags.c.tag, where)
    image_stores = _words(connection, stores.c.store, where)
    rows = connection.execute(select(images).where(where).order_by(images.c.created_at, images.c.id))
    return [
        image_of(row._asdict(), by_image.get(row.id, {}), image_tags.get(row.id, ()), image_stores.get(row.id, ()))
        for row in rows
    ]


def _words(connection: Connection, column: Column[str], where: ColumnElement[bool]) -> dict[str, list[str]]:
    """The words in `column`, of ``tags`` or ``stores``, by image."""
    by_image: dict[str, list[str]] = {}
    matching = (
        select(column.table.c.image_id, column)
        .select_from(column.table.join(images, images.c.id == column.table.c.image_id))
        .where(where)
    )
    for image_id, word in connection.execute(matching):
        by_image.setdefault(image_id, []).append(word)
    return by_image
