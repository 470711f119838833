"""Read and write the rows of one image or task, inside the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, and_, delete, exc, insert, select

from douane.errors import NotFound

from .records import CopyFacts, Image, Task, copy_facts_of, image_of, task_of, to_json
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


def set_stores(
    connection: Connection, image_id: str, entries: Iterable[str], variants: Mapping[str, CopyFacts]
) -> None:
    """Replace the stores that hold the image's bytes, or a variant of them."""
    connection.execute(delete(stores).where(stores.c.image_id == image_id))
    add_stores(connection, image_id, entries, variants)


def add_stores(
    connection: Connection, image_id: str, entries: Iterable[str], variants: Mapping[str, CopyFacts]
) -> None:
    """Add stores that do not hold the image yet."""
    rows: list[dict[str, str | int | None]] = []
    for store in entries:
        facts = variants.get(store)
        text, size = (None, None) if facts is None else (to_json(facts), facts.size)
        rows.append({"image_id": image_id, "store": store, "facts": text, "size": size})
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
    image_tags: dict[str, list[str]] = {}
    for image_id, tag in connection.execute(_matching(where, tags.c.image_id, tags.c.tag)):
        image_tags.setdefault(image_id, []).append(tag)
    copies: dict[str, dict[str, CopyFacts | None]] = {}
    for image_id, store, facts in connection.execute(
        _matching(where, stores.c.image_id, stores.c.store, stores.c.facts)
    ):
        copies.setdefault(image_id, {})[store] = copy_facts_of(facts)
    rows = connection.execute(select(images).where(where).order_by(images.c.created_at, images.c.id))
    return [
        image_of(row._asdict(), by_image.get(row.id, {}), image_tags.get(row.id, ()), copies.get(row.id))
        for row in rows
    ]


def _matching(where: ColumnElement[bool], image_id: Column[str], *columns: Column[str]) -> Any:
    """The columns of a table of ``image_id``, for the images for which `where` holds."""
    joined = image_id.table.join(images, images.c.id == image_id)
    return select(image_id, *columns).select_from(joined).where(where)


def insert_once(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Add a row, unless one with its primary key is there, or is just being added by another process; False then."""
    keys = [column == row[column.name] for column in table.primary_key]
    if connection.execute(select(*table.primary_key).where(*keys)).first() is not None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(**row))
    except exc.IntegrityError:
        return False
    return True
