"""A page of images in a catalog of 100,000 against the same page in one of 1,000."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import insert

from douane.catalog import Catalog
from douane.catalog.query import ImageQuery, SortKey, TimeBound
from douane.catalog.schema import images, members, properties, tags

from .harness import Row, Settings, in_turn, medians, timed

MAX_RATIO = 3.0
FEW, MANY = 1_000, 100_000
START = datetime(2026, 1, 1, tzinfo=UTC)
ME = "project-0"
BATCH = 10_000


def measure(settings: Settings) -> list[Row]:
    """Rows of milliseconds, one for each kind of query."""
    many = MANY // 10 if settings.quick else MANY
    with _catalog(settings.directory / "few", FEW) as small, _catalog(settings.directory / "many", many) as large:
        rows = []
        for name, (few_query, many_query) in _queries(small, large).items():
            against = f"{FEW:,} images"
            runs: dict[str, Callable[[], float]] = {
                name: lambda query=many_query: 1000 * timed(partial(large.find_images, query)),
                against: lambda query=few_query: 1000 * timed(partial(small.find_images, query)),
            }
            samples = in_turn(settings.times(40, 5), runs)
            middle = medians(samples)
            rows.append(
                Row(name, middle[name], middle[against], against, "ms", max_ratio=MAX_RATIO, samples=dict(samples))
            )
    return rows


def _queries(small: Catalog, large: Catalog) -> dict[str, tuple[ImageQuery, ImageQuery]]:
    """Each query for both catalogs: they differ in the marker only."""
    queries: dict[str, tuple[ImageQuery, ImageQuery]] = {}
    for name, arguments in _arguments():
        query = ImageQuery(**arguments)
        queries[name] = (query, query)
    for view in ({"project": ME}, {"everything": True}):
        for key in ("created_at", "name"):
            query = ImageQuery(**view, sort=(SortKey(key),), limit=None)
            markers = [catalog.find_images(query) for catalog in (small, large)]
            few, many = (
                ImageQuery(**view, sort=(SortKey(key),), marker=listed[len(listed) // 2].id) for listed in markers
            )
            queries[f"a page in the middle by {key}, {_name(view)}"] = (few, many)
    return queries


def _name(view: dict[str, object]) -> str:
    return "a project" if "project" in view else "an administrator"


def _arguments() -> Iterator[tuple[str, dict]]:
    for view in ({"project": ME}, {"everything": True}):
        for key in ("created_at", "updated_at", "name", "size", "status", "disk_format", "container_format", "id"):
            for descending in (True, False):
                yield (
                    f"{'last' if descending else 'first'} by {key}, {_name(view)}",
                    {**view, "sort": (SortKey(key, descending),)},
                )
        filters: dict[str, dict[str, object]] = {
            "status active": {"text": {"status": ("active",)}},
            "status queued": {"text": {"status": ("queued",)}},
            "status in a list": {"text": {"status": ("queued", "deactivated")}},
            "name of one": {"text": {"name": ("image-7",)}},
            "name of a fifth": {"text": {"name": ("common",)}},
            "name of none": {"text": {"name": ("absent",)}},
            "disk format": {"text": {"disk_format": ("vmdk",)}},
            "checksum": {"text": {"checksum": (f"{7:032x}",)}},
            "hash": {"text": {"os_hash_value": (f"{7:0128x}",)}},
            "hash algorithm of none": {"text": {"os_hash_algo": ("md5",)}},
            "visibility public": {"visibility": "public"},
            "visibility shared": {"visibility": "shared"},
            "visibility community": {"visibility": "community"},
            "all visibilities": {"visibility": "all"},
            "pending members": {"member_status": "pending"},
            "hidden": {"hidden": True},
            "protected": {"protected": True},
            "size of half": {"at_least": {"size": 500_000}},
            "size of none": {"at_most": {"size": 0}},
            "min_ram": {"at_least": {"min_ram": 1}},
            "created before": {"times": (TimeBound("created_at", "lt", START + timedelta(seconds=100)),)},
            "updated since": {"times": (TimeBound("updated_at", "gte", START + timedelta(seconds=100)),)},
            "tag of a third": {"tags": ("third",)},
            "tag of few": {"tags": ("rare",)},
            "property of half": {"properties": {"os_type": "linux"}},
            "property of few": {"properties": {"os_type": "plan9"}},
            "property of none": {"properties": {"os_type": "absent"}},
            "property of half by name": {"properties": {"os_type": "linux"}, "sort": (SortKey("name", False),)},
        }
        for name, arguments in filters.items():
            yield f"{name}, {_name(view)}", {**view, **arguments}


def _catalog(path: Path, count: int) -> Catalog:
    """A catalog as in a cloud: a tenth of the images are mine, one in a hundred is public, and one shared with me."""
    chance = random.Random(0)
    catalog = Catalog(path)
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        ids = {n: str(uuid.UUID(int=chance.getrandbits(128), version=4)) for n in numbers}
        rows = {n: _image(ids[n], n, chance) for n in numbers}
        with catalog._database.write() as connection:
            connection.execute(insert(images), list(rows.values()))
            connection.execute(
                insert(properties),
                [
                    {"image_id": row["id"], "name": name, "source": "", "value": value}
                    for n, row in rows.items()
                    for name, value in (
                        ("os_type", "plan9" if n % 10_000 == 5 else chance.choice(("linux", "windows"))),
                        ("hw_disk_bus", "virtio"),
                    )
                ],
            )
            connection.execute(
                insert(tags),
                [{"image_id": ids[n], "tag": "rare" if n % 10_000 == 5 else "third"} for n in numbers if n % 3 == 2],
            )
            shared = [row for row in rows.values() if row["visibility"] == "shared" and chance.random() < 0.017]
            connection.execute(
                insert(members),
                [
                    {
                        "image_id": row["id"],
                        "project": ME,
                        "status": chance.choice(("accepted", "accepted", "pending")),
                        "created_at": row["created_at"],
                        "updated_at": row["created_at"],
                    }
                    for row in shared
                ],
            )
    return catalog


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
