"""Find images: the filters, the order and the pages of the Image API.

A query is answered in one of three ways. If a filter matches few images, those are read and sorted. If it matches some
thousands, and its index has what the list asks, the index is read. Otherwise each part
of the view is read in the order of the query, from an index, until the page is full, and the parts are merged. So the
time depends on the page and not on the catalog, except for filters that match many images each, but few together.
"""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, false, func, or_, select, union_all

from douane.errors import BadValue

from . import rows, values, views
from .conditions import Condition, conditions, matching_ids
from .database import Database
from .query import ImageQuery, SortKey
from .records import Image
from .schema import NOT_DELETED, SORT_KEYS, images

FEW = 300
"""So many images are read and sorted in about the time in which an index is read until a page is full: with 1,000,
pages of filters that match as many took twice the time (100,000 images, SQLite)."""

FEW_ENTRIES = 6_000
"""So many entries of an index are read and tested in about the time of a page of a project with 1,000 memberships."""

_MANY_VALUES = ("created_at", "updated_at", "name", "size", "id")
"""Sort keys of which few images have the same value."""

FEW_MEMBERSHIPS = 300
"""So many images that are shared with a project are read and sorted: 5 ms for each 1,000."""


class Find:
    """The query of images; a part of :class:`~douane.catalog.Catalog`."""

    _database: Database

    def find_images(self, query: ImageQuery) -> list[Image]:
        """The images that match, in the order of the query, at most `limit`.

        Raises BadValue: for a value that no image can have, an unknown field, or a marker that names no image of the
        view.
        """
        keys = sort_keys(query)
        limit = values.optional_number("the limit", query.limit)
        filters = conditions(query)
        with self._database.read() as connection:
            selective = [condition.selective for condition in filters if condition.selective is not None]
            # With filters, an index in the query's order could be read to its end for a handful of images.
            parts = views.parts(query, many_memberships=not selective and _has_many_memberships(connection, query))
            after = [] if query.marker is None else _after(keys, _marker(connection, query, keys))
            plain = [condition.plain for condition in filters]
            few = _few(connection, selective)
            covered = None
            by = keys[0].name
            if few is not None:
                plain.append(images.c.id.in_(few))
            else:
                if by == "created_at":
                    plain = [part.plain if part.ordered is None else part.ordered for part in filters]
                    by = next((part.column for part in filters if part.ordered is not None and part.column), by)
                    covered = _covered(connection, filters)
                if covered is not None and covered.covered is not None:
                    parts = views.parts(query, many_memberships=True)
                    plain.append(covered.covered)
                elif query.marker is None and selective and _has_many_memberships(connection, query):
                    page = _first_page(connection, query, plain, keys, limit, by)
                    if page is not None:
                        return rows.images_by_id(connection, page)
            if few is not None or covered is not None:
                everything = or_(false(), *(part.condition for part in parts))
                parts = [views.Part(everything, None if covered is None else covered.column)]
                after = [or_(*after)] if after else []
            scans = [
                _scan([part.condition, *plain, *start], keys, limit, _index(part, by, few, covered))
                for part in parts
                for start in ([[bound] for bound in after] if query.marker is not None else [[]])
            ]
            ids = _merged(connection, scans, keys, limit)
            return rows.images_by_id(connection, ids)


class Key(NamedTuple):
    """A sort key: its name, its expression and its direction."""

    name: str
    expression: ColumnElement[Any]
    descending: bool

    def ordered(self, expression: ColumnElement[Any] | None = None) -> ColumnElement[Any]:
        """The expression, or another for it, as a part of ORDER BY."""
        by = self.expression if expression is None else expression
        return by.desc() if self.descending else by.asc()


def sort_keys(query: ImageQuery) -> list[Key]:
    """The keys of the query and those that decide between equal images; the id is the last. Raises BadValue."""
    keys = list(query.sort) or [SortKey("created_at")]
    ties = keys[0].descending if len(keys) == 1 else True
    sorted_by: dict[str, Key] = {}
    for key in (*keys, SortKey("created_at", ties), SortKey("id", ties)):
        name = values.one_of("a sort key", key.field, SORT_KEYS)
        if name in sorted_by:
            continue
        sorted_by[name] = Key(name, SORT_KEYS[name], values.flag("the direction", key.descending))
        if name == "id":
            break
    return list(sorted_by.values())


def _few(connection: Connection, selective: list[Select[tuple[str]]]) -> list[str] | None:
    """The ids that the first selective filter has; None if each filter has many."""
    for ids in selective:
        if _count(connection, ids, FEW + 1) <= FEW:
            return [row.image_id for row in connection.execute(ids)]
    return None


def _covered(connection: Connection, filters: list[Condition]) -> Condition | None:
    """The first filter whose index alone says for all of its images, which are not many, which the query lists."""
    for condition in filters:
        if condition.covered is not None:
            matching = matching_ids(condition.covered)
            if _count(connection, matching, FEW_ENTRIES + 1) <= FEW_ENTRIES:
                return condition
    return None


def _first_page(
    connection: Connection,
    query: ImageQuery,
    plain: list[ColumnElement[bool]],
    keys: list[Key],
    limit: int | None,
    by: str,
) -> list[str] | None:
    """The page, if it lies within the first shared images in the order of the query; None: not all of it does."""
    key = keys[0]
    if limit is None or key.name not in _MANY_VALUES:
        return None
    shared = select(key.expression).where(NOT_DELETED, images.c.visibility == "shared")
    ordered = shared.order_by(*(key.ordered() for key in keys))
    last = connection.execute(ordered.limit(1).offset(FEW_ENTRIES)).scalar()
    if last is None:
        return None
    near = key.expression >= last if key.descending else key.expression <= last
    parts = views.parts(query, many_memberships=True)
    scans = [_scan([part.condition, *plain, near], keys, limit, _index(part, by)) for part in parts]
    ids = _merged(connection, scans, keys, limit)
    return ids if len(ids) == limit else None


def _has_many_memberships(connection: Connection, query: ImageQuery) -> bool:
    if query.project is None:
        return False
    return _count(connection, views.memberships(query), FEW_MEMBERSHIPS + 1) > FEW_MEMBERSHIPS


def _count(connection: Connection, matching: Select[tuple[str]], limit: int) -> int:
    """The number of images that match, up to the limit."""
    first = matching.limit(limit).subquery()
    return connection.execute(select(func.count()).select_from(first)).scalar_one()


def _marker(connection: Connection, query: ImageQuery, keys: list[Key]) -> list[Any]:
    """The values of the sort keys of the marker."""
    marker = values.text("the marker", query.marker)
    matching = select(*(key.expression for key in keys)).where(images.c.id == marker, NOT_DELETED)
    row = connection.execute(matching.where(views.may_be_marker(query))).first()
    if row is None:
        raise BadValue(f"the marker {marker!r:.80} is no image that is listed here")
    return list(row)


def _after(keys: list[Key], marker: list[Any]) -> list[ColumnElement[bool]]:
    """The images after the marker, as ranges that do not overlap and that an index serves: equal in all keys up to one,
    and beyond in that."""
    ranges = []
    for n, key in enumerate(keys):
        equal = [other.expression == value for other, value in zip(keys[:n], marker, strict=False)]
        beyond = key.expression < marker[n] if key.descending else key.expression > marker[n]
        ranges.append(and_(*equal, beyond))
    return ranges


def _index(part: views.Part, by: str, few: object = None, covered: Condition | None = None) -> str | None:
    """The index that has the part in the order of the query, or that covers it; None: neither is read."""
    if few is not None or part.column == "id":
        return None
    if covered is not None:
        return f"images_by_{part.column}"
    return f"images_by_{by}" if part.column in (None, by) else f"images_by_{part.column}_and_{by}"


def _scan(where: list[ColumnElement[bool]], keys: list[Key], limit: int | None, index: str | None) -> Any:
    columns = [key.expression.label(key.name) for key in keys]
    scan = select(*columns)
    if index is not None and index != "images_by_id":
        # MariaDB guesses at how many images match, and would rather sort half the catalog.
        scan = scan.with_hint(images, f"FORCE INDEX ({index})", "mysql")
    scan = scan.where(NOT_DELETED, *where).order_by(*(key.ordered() for key in keys))
    return select(scan.limit(limit).subquery())


def _merged(connection: Connection, scans: list[Any], keys: list[Key], limit: int | None) -> list[str]:
    if not scans or limit == 0:
        return []
    merged = union_all(*scans).subquery()
    page = select(merged.c.id).order_by(*(key.ordered(merged.c[key.name]) for key in keys)).limit(limit)
    return list(connection.execute(page).scalars())
