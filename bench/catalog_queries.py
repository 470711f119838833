"""A page of images in a catalog of 100,000 (SQLite) or 1,000,000 (PostgreSQL) against the same page in one of 1,000."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from sqlalchemy import func, select

from douane.catalog import Catalog
from douane.catalog.query import ImageQuery, SortKey, TimeBound
from douane.catalog.schema import NOT_DELETED, SORT_KEYS, images

from .catalog_rows import ME, START, fill, fill_postgresql
from .driving import WrongOutcome
from .harness import Row, Settings, in_turn, medians, progress, timed
from .postgresql import create, postgresql

MAX_RATIO = 3.0
FEW, MANY, MANY_POSTGRESQL = 1_000, 100_000, 1_000_000


def measure(settings: Settings) -> list[Row]:
    """Rows of milliseconds, one for each kind of query, with SQLite."""
    many = MANY // 10 if settings.quick else MANY
    with Catalog(settings.directory / "few") as small, Catalog(settings.directory / "many") as large:
        fill(small, FEW)
        fill(large, many)
        return _rows(settings, small, large)


def measure_postgresql(settings: Settings) -> list[Row]:
    """The same with PostgreSQL, and ten times as many images. Raises WrongOutcome if it is not installed."""
    many = MANY_POSTGRESQL // 100 if settings.quick else MANY_POSTGRESQL
    with postgresql() as server:
        if server is None:
            raise WrongOutcome("PostgreSQL's server is not installed: scripts/glance-env.sh postgresql")
        with Catalog(create(server, "few")) as small, Catalog(create(server, "many")) as large:
            for catalog, count in ((small, FEW), (large, many)):
                progress(f"  making {count:,} images")
                fill_postgresql(catalog, count)
            return _rows(settings, small, large)


def _rows(settings: Settings, small: Catalog, large: Catalog) -> list[Row]:
    rows = []
    against = f"{FEW:,} images"
    for name, (few_query, many_query) in _queries(small, large).items():
        runs: dict[str, Callable[[], float]] = {
            name: lambda query=many_query: 1000 * timed(partial(large.find_images, query)),
            against: lambda query=few_query: 1000 * timed(partial(small.find_images, query)),
        }
        samples = in_turn(settings.times(40, 5), runs)
        middle = medians(samples)
        rows.append(Row(name, middle[name], middle[against], against, "ms", max_ratio=MAX_RATIO, samples=dict(samples)))
    return rows


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
