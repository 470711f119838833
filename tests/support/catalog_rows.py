"""A catalog with many images of all kinds, written row by row: through its operations it would take minutes."""

import random
import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from douane.catalog import Catalog
from douane.catalog.schema import images, members, properties, tags

START = datetime(2026, 1, 1, tzinfo=UTC)
PROJECTS = ("p1", "p2", "p3")
STATUSES = ("queued", "active", "deactivated", "deleted", "uploading")


def text_time(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def fill(catalog: Catalog, count: int, seed: int = 1) -> None:
    """Add `count` images with few different values in each field, so that every filter matches some and every sort has
    ties; about one in six is missing a value."""
    chance = random.Random(seed)
    ids = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]

    def any_of(*choices: object) -> object:
        return chance.choice(choices)

    def row(image_id: str) -> dict[str, object]:
        created = START + timedelta(seconds=chance.randrange(6), microseconds=chance.choice((0, 1, 999_999)))
        return {
            "id": image_id,
            "name": any_of(None, "", "a", "b", "B", "é"),
            "status": any_of(*STATUSES),
            "owner": any_of(None, *PROJECTS),
            "disk_format": any_of(None, "raw", "qcow2"),
            "container_format": any_of(None, "bare", "ovf"),
            "size": any_of(0, 1, 2, 2**40),
            "virtual_size": any_of(None, 0, 1, 2),
            "digests": "{}",
            "checksum": any_of(None, "c1", "c2"),
            "os_hash_algo": any_of(None, "sha512"),
            "os_hash_value": any_of(None, "h1", "h2"),
            "token": 0,
            "created_at": text_time(created),
            "updated_at": text_time(created + timedelta(seconds=chance.randrange(3))),
            "visibility": any_of("public", "community", "shared", "shared", "private"),
            "protected": any_of(True, False, False),
            "hidden": any_of(True, False, False),
            "min_disk": any_of(0, 0, 1),
            "min_ram": any_of(0, 0, 1),
        }

    at = text_time(START)
    rows = [row(image_id) for image_id in ids]
    with catalog._database.write() as connection:
        connection.execute(insert(images), rows)
        tagged = [(image_id, tag) for image_id in ids for tag in "xy" if chance.random() < 0.4]
        connection.execute(insert(tags), [{"image_id": image_id, "tag": tag} for image_id, tag in tagged])
        shared = [(image_id, project) for image_id in ids for project in PROJECTS if chance.random() < 0.4]
        connection.execute(
            insert(members),
            [
                {
                    "image_id": image_id,
                    "project": project,
                    "status": any_of("pending", "accepted", "rejected"),
                    "created_at": at,
                    "updated_at": at,
                }
                for image_id, project in shared
            ],
        )
        entries = [
            {"image_id": image_id, "name": name, "source": source, "value": any_of("1", "2", "x" * 300)}
            for image_id in ids
            for name in ("os", "bus")
            for source in ("", "plugin", "second")
            if chance.random() < 0.4
        ]
        connection.execute(insert(properties), entries)
