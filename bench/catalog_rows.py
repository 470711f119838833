"""The rows of a catalog as in a cloud: of a hundred images, ten are mine, one is public, and one is shared with me."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Table, insert

from douane.catalog import Catalog
from douane.catalog.schema import images, members, properties, tags

START = datetime(2026, 1, 1, tzinfo=UTC)
ME = "project-0"
BATCH = 10_000
Rows = list[dict[str, object]]


def fill(catalog: Catalog, count: int) -> None:
    """Insert `count` images, and what belongs to them."""
    for batch in _batches(count):
        with catalog._database.write() as connection:
            for table, rows in batch.items():
                connection.execute(insert(table), rows)


def fill_postgresql(catalog: Catalog, count: int) -> None:
    """The same by COPY, without indexes and checks of foreign keys meanwhile; then VACUUM and ANALYZE, as autovacuum
    does."""
    with catalog._database.write() as connection:
        connection.exec_driver_sql("SET session_replication_role = 'replica'")
        indexes = connection.exec_driver_sql(_INDEXES).all()
        for name, _ in indexes:
            connection.exec_driver_sql(f'DROP INDEX "{name}"')
        for batch in _batches(count):
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


def _batches(count: int) -> Iterator[Mapping[Table, Rows]]:
    chance = random.Random(0)
    for start in range(0, count, BATCH):
        yield _batch(range(start, min(start + BATCH, count)), chance)


def _batch(numbers: Iterable[int], chance: random.Random) -> dict[Table, Rows]:
    ids = {n: str(uuid.UUID(int=chance.getrandbits(128), version=4)) for n in numbers}
    rows = {n: _image(ids[n], n, chance) for n in ids}
    shared = [row for row in rows.values() if row["visibility"] == "shared" and chance.random() < 0.017]
    return {
        images: list(rows.values()),
        properties: [
            {"image_id": ids[n], "name": name, "source": "", "value": value}
            for n in ids
            for name, value in (
                ("os_type", "plan9" if n % 10_000 == 5 else chance.choice(("linux", "windows"))),
                ("hw_disk_bus", "virtio"),
            )
        ],
        tags: [{"image_id": ids[n], "tag": "rare" if n % 10_000 == 5 else "third"} for n in ids if n % 3 == 2],
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


def _image(image_id: str, number: int, chance: random.Random) -> dict[str, object]:
    created = START + timedelta(seconds=number, microseconds=chance.randrange(1_000_000))
    at = created.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    return {
        "id": image_id,
        "name": "common" if chance.random() < 0.2 else f"image-{number}",
        "status": chance.choices(("active", "queued", "deactivated"), (97, 2, 1))[0],
        "owner": ME if chance.random() < 0.1 else f"project-{chance.randrange(1, 1000)}",
        "disk_format": chance.choices(("qcow2", "raw", "vmdk"), (80, 18, 2))[0],
        "container_format": "bare",
        "size": chance.randrange(1, 1_000_000),
        "digests": "{}",
        "checksum": f"{number:032x}",
        "os_hash_algo": "sha512",
        "os_hash_value": f"{number:0128x}",
        "token": 0,
        "created_at": at,
        "updated_at": at,
        "visibility": chance.choices(("shared", "private", "public", "community"), (88, 10, 1, 1))[0],
        "protected": chance.random() < 0.01,
        "hidden": chance.random() < 0.01,
        "min_disk": 0,
        "min_ram": chance.choices((0, 512), (95, 5))[0],
    }
