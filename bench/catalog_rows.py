"""The rows of a catalog as in a cloud: of a hundred images, ten are mine, one is public, and one is shared with me.

Of a thousand such images, a page of what few have is nearly empty. So there are rows, too, in which that is frequent.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, Table, insert

from douane.catalog import Catalog
from douane.catalog.schema import images, members, properties, tags

START = datetime(2026, 1, 1, tzinfo=UTC)
ME = "project-0"
BATCH = 10_000
KNOWN = 7
"""The number of an image of mine, the only one with its name and its digests."""
Rows = list[dict[str, object]]


class Shares(NamedTuple):
    """How many images have what."""

    mine: float = 0.1
    shared_with_me: float = 0.017
    statuses: tuple[int, ...] = (97, 2, 1)
    disk_formats: tuple[int, ...] = (80, 18, 2)
    visibilities: tuple[int, ...] = (88, 10, 1, 1)
    protected: float = 0.01
    hidden: float = 0.01
    min_ram: float = 0.05
    every: int = 10_000
    """One of so many has the property and the tag of few."""


USUAL = Shares()
FREQUENT = Shares(0.5, 0.3, (40, 30, 30), (20, 20, 60), (30, 10, 30, 30), 0.5, 0.3, 0.5, 4)


def fill(catalog: Catalog, count: int, shares: Shares = USUAL) -> None:
    """Insert `count` images, and what belongs to them."""
    for batch in _batches(count, shares):
        with catalog._database.write() as connection:
            for table, rows in batch.items():
                connection.execute(insert(table), rows)


def fill_mariadb(catalog: Catalog, count: int, shares: Shares = USUAL) -> None:
    """The same, and ANALYZE, as InnoDB does by itself after a while."""
    fill(catalog, count, shares)
    with catalog._database.write() as connection:
        for table in (images, properties, tags, members):
            connection.exec_driver_sql(f"ANALYZE TABLE {table.name}").all()


def fill_postgresql(catalog: Catalog, count: int, shares: Shares = USUAL) -> None:
    """The same by COPY, without indexes and checks of foreign keys meanwhile; then VACUUM and ANALYZE, as autovacuum
    does."""
    with catalog._database.write() as connection:
        connection.exec_driver_sql("SET session_replication_role = 'replica'")
        indexes = connection.exec_driver_sql(_INDEXES).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f'DROP INDEX "{name}"')
        for batch in _batches(count, shares):
            for table, rows in batch.items():
                _copy(connection, table, rows)
        connection.exec_driver_sql("SET maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
    engine = catalog._database._engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    catalog._database._engine.dispose()  # the settings above end with their connection


_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes LEFT JOIN pg_constraint ON conname = indexname
WHERE schemaname = current_schema() AND conname IS NULL
"""


def _copy(connection: Connection, table: Table, rows: Rows) -> None:
    cursor = connection.connection.cursor()
    columns = ", ".join(f'"{name}"' for name in rows[0])
    with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:  # type: ignore[attr-defined]  # of psycopg
        for row in rows:
            copy.write_row(list(row.values()))


def _batches(count: int, shares: Shares) -> Iterator[Mapping[Table, Rows]]:
    chance = random.Random(0)
    for start in range(0, count, BATCH):
        yield _batch(range(start, min(start + BATCH, count)), chance, shares)


def _batch(numbers: Iterable[int], chance: random.Random, shares: Shares) -> dict[Table, Rows]:
    ids = {n: str(uuid.UUID(int=chance.getrandbits(128), version=4)) for n in numbers}
    rows = {n: _image(ids[n], n, chance, shares) for n in ids}
    shared = [row for row in rows.values() if row["visibility"] == "shared" and chance.random() < shares.shared_with_me]
    return {
        images: list(rows.values()),
        properties: [
            {"image_id": ids[n], "name": name, "source": "", "value": value}
            for n in ids
            for name, value in (
                ("os_type", "plan9" if _is_rare(n, shares) else chance.choice(("linux", "windows"))),
                ("hw_disk_bus", "virtio"),
            )
        ],
        tags: [
            {"image_id": ids[n], "tag": "rare" if _is_rare(n, shares) else "third"}
            for n in ids
            if n % 3 == 2 or _is_rare(n, shares)
        ],
        members: [
            {
                "image_id": row["id"],
                "project": ME,
                "status": chance.choice(("accepted", "accepted", "pending")),
                "created_at": row["created_at"],
                "updated_at": row["created_at"],
            }
            for row in shared
        ],
    }


def _is_rare(number: int, shares: Shares) -> bool:
    return number % shares.every == 5 % shares.every


def _image(image_id: str, number: int, chance: random.Random, shares: Shares) -> dict[str, object]:
    created = START + timedelta(seconds=number, microseconds=chance.randrange(1_000_000))
    at = created.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    row: dict[str, object] = {
        "id": image_id,
        "name": "common" if chance.random() < 0.2 else f"image-{number}",
        "status": chance.choices(("active", "queued", "deactivated"), shares.statuses)[0],
        "owner": ME if chance.random() < shares.mine else f"project-{chance.randrange(1, 1000)}",
        "disk_format": chance.choices(("qcow2", "raw", "vmdk"), shares.disk_formats)[0],
        "container_format": "bare",
        "size": chance.randrange(1, 1_000_000),
        "digests": "{}",
        "checksum": f"{number:032x}",
        "os_hash_algo": "sha512",
        "os_hash_value": f"{number:0128x}",
        "token": 0,
        "created_at": at,
        "updated_at": at,
        "visibility": chance.choices(("shared", "private", "public", "community"), shares.visibilities)[0],
        "protected": chance.random() < shares.protected,
        "hidden": chance.random() < shares.hidden,
        "min_disk": 0,
        "min_ram": 512 if chance.random() < shares.min_ram else 0,
    }
    if number == KNOWN:
        row |= {"name": f"image-{KNOWN}", "owner": ME, "visibility": "private", "hidden": False}
    return row
