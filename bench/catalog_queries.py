"""A page of images in a catalog of 100,000 (SQLite, MariaDB) or 1,000,000 (PostgreSQL) against the same page in one of
1,000.

Both pages have the same number of images: where 1,000 images have too few of a kind, another 1,000 with more are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import msgspec
from sqlalchemy import func, select

from douane.catalog import Catalog
from douane.catalog.query import ImageQuery, SortKey, TimeBound
from douane.catalog.schema import NOT_DELETED, SORT_KEYS, images

from .catalog_rows import FREQUENT, KNOWN, ME, START, USUAL, Shares, fill, fill_mariadb, fill_postgresql
from .databases import create, database
from .driving import WrongOutcome
from .harness import Row, Settings, in_turn, medians, progress, timed

MAX_RATIO = 3.0
FEW, MANY, MANY_POSTGRESQL = 1_000, 100_000, 1_000_000


class Catalogs(NamedTuple):
    """Two catalogs of 1,000 images, and one of many."""

    small: Catalog
    frequent: Catalog
    """Small, and of what few images have, it has more."""

    large: Catalog


def measure(settings: Settings) -> list[Row]:
    """Rows of milliseconds, one for each kind of query, with SQLite."""
    many = MANY // 10 if settings.quick else MANY
    folder = settings.directory
    with Catalog(folder / "few") as small, Catalog(folder / "frequent") as frequent, Catalog(folder / "many") as large:
        fill(small, FEW)
        fill(frequent, FEW, FREQUENT)
        fill(large, many)
        return _rows(settings, Catalogs(small, frequent, large))


def measure_postgresql(settings: Settings) -> list[Row]:
    """The same with PostgreSQL, and ten times as many images. Raises WrongOutcome if it is not installed."""
    many = MANY_POSTGRESQL // 100 if settings.quick else MANY_POSTGRESQL
    return _measure_on("postgresql", settings, many, fill_postgresql)


def measure_mariadb(settings: Settings) -> list[Row]:
    """The same with MariaDB, and as many images as in SQLite. Raises WrongOutcome if it is not installed."""
    return _measure_on("mariadb", settings, MANY // 10 if settings.quick else MANY, fill_mariadb)


def _measure_on(
    kind: str, settings: Settings, many: int, fill_with: Callable[[Catalog, int, Shares], None]
) -> list[Row]:
    with database(kind) as server:
        urls = [create(server, name) for name in Catalogs._fields]
        with Catalog(urls[0]) as small, Catalog(urls[1]) as frequent, Catalog(urls[2]) as large:
            for catalog, count, shares in (
                (small, FEW, USUAL),
                (frequent, FEW, FREQUENT),
                (large, many, USUAL),
            ):
                progress(f"  making {count:,} images")
                fill_with(catalog, count, shares)
            return _rows(settings, Catalogs(small, frequent, large))


def _rows(settings: Settings, catalogs: Catalogs) -> list[Row]:
    rows = []
    against = f"{FEW:,} images"
    for name, queries in _queries(catalogs.small, catalogs.large).items():
        (few, few_query), (large, many_query) = _with_equal_pages(catalogs, *queries)
        runs: dict[str, Callable[[], float]] = {
            name: lambda query=many_query, catalog=large: 1000 * timed(partial(catalog.find_images, query)),
            against: lambda query=few_query, catalog=few: 1000 * timed(partial(catalog.find_images, query)),
        }
        samples = in_turn(settings.times(40, 5), runs)
        middle = medians(samples)
        rows.append(Row(name, middle[name], middle[against], against, "ms", max_ratio=MAX_RATIO, samples=dict(samples)))
    return rows


def _with_equal_pages(
    catalogs: Catalogs, few_query: ImageQuery, many_query: ImageQuery
) -> tuple[tuple[Catalog, ImageQuery], tuple[Catalog, ImageQuery]]:
    """The same page of a small and of the large catalog, with the same number of images."""
    small = catalogs.small
    of_small, of_large = len(small.find_images(few_query)), len(catalogs.large.find_images(many_query))
    if of_small < of_large:
        small = catalogs.frequent
        of_small = len(small.find_images(few_query))
    size = min(of_small, of_large)
    if of_small != of_large:
        few_query, many_query = (msgspec.structs.replace(query, limit=size) for query in (few_query, many_query))
    sizes = len(small.find_images(few_query)), len(catalogs.large.find_images(many_query))
    if sizes != (size, size) or (max(of_small, of_large) > 0) != (size > 0):
        raise WrongOutcome(f"the pages have {sizes} images, and cannot be compared: {many_query}")
    return (small, few_query), (catalogs.large, many_query)


def _queries(small: Catalog, large: Catalog) -> dict[str, tuple[ImageQuery, ImageQuery]]:
    """Each query for both catalogs: they differ in the marker only."""
    queries: dict[str, tuple[ImageQuery, ImageQuery]] = {}
    for name, arguments in _arguments():
        query = ImageQuery(**arguments)
        queries[name] = (query, query)
    for view in ({"project": ME}, {"everything": True}):
        for key in ("created_at", "name"):
            few, many = (
                ImageQuery(**view, sort=(SortKey(key),), marker=_middle(catalog, view, key))
                for catalog in (small, large)
            )
            queries[f"a page in the middle by {key}, {_name(view)}"] = (few, many)
    return queries


def _middle(catalog: Catalog, view: dict[str, object], key: str) -> str:
    """The id of an image in the middle of the list."""
    seen = [NOT_DELETED, images.c.hidden.is_(False), images.c.visibility != "community"]
    if "project" in view:
        seen.append(images.c.owner == ME)
    with catalog._database.read() as connection:
        count = connection.execute(select(func.count()).select_from(images).where(*seen)).scalar_one()
        ordered = select(images.c.id).where(*seen).order_by(SORT_KEYS[key].desc(), images.c.created_at.desc())
        middle: str = connection.execute(ordered.offset(count // 2).limit(1)).scalar_one()
        return middle


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
            "name of one": {"text": {"name": (f"image-{KNOWN}",)}},
            "name of a fifth": {"text": {"name": ("common",)}},
            "name of none": {"text": {"name": ("absent",)}},
            "disk format": {"text": {"disk_format": ("vmdk",)}},
            "checksum": {"text": {"checksum": (f"{KNOWN:032x}",)}},
            "hash": {"text": {"os_hash_value": (f"{KNOWN:0128x}",)}},
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
