"""The filters of a query as conditions of SQL, each in two forms.

The planner of SQLite guesses how many images a condition matches, and a wrong guess reads and sorts half the catalog.
So `find.py` counts, up to a bound, and decides: `selective` is written so that an index is used, `plain` so that none
is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, get_args

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

from douane.errors import BadValue

from . import unindexed, values
from .expressions import is_true
from .query import ImageQuery, NumberField, TextField, TimeBound
from .schema import NOT_DELETED, SORT_KEYS, VALUE_START, images, properties, tags

LIMIT = 128
"""Conditions and values of lists in one query."""

_NUMBERS: tuple[str, ...] = get_args(NumberField)
_TEXTS: tuple[str, ...] = get_args(TextField)
_PREFIX = 255
_ORDERED = frozenset({"name", "status", "disk_format", "container_format"})


class Condition(NamedTuple):
    """A filter: as a condition on the row of an image, for which no index is used; and as the ids of the images that
    match, from an index and so that a limit ends the reading early, or None where no index would help. The ids may name
    further images."""

    plain: ColumnElement[bool]
    selective: Select[tuple[str]] | None
    ordered: ColumnElement[bool] | None = None
    """The condition where an index has the images that match in the order of their creation."""

    covered: ColumnElement[bool] | None = None
    """The condition where an index has the images that match, and with them all that every list asks."""

    column: str | None = None
    """The column with which the index of `ordered` or `covered` begins."""


def conditions(query: ImageQuery) -> list[Condition]:
    """All filters of the query but those of its view. Raises BadValue."""
    declared = [*_texts(query), *_numbers(query), *map(_time, query.times), *_flags(query), *_rows(query)]
    count = len(declared) + sum(len(values) for values in query.text.values())
    if count > LIMIT:
        raise BadValue(f"the query has {count} conditions and values; at most {LIMIT} are allowed")
    return declared


def _texts(query: ImageQuery) -> Iterator[Condition]:
    for name, allowed in query.text.items():
        values.one_of("a filter", name, _TEXTS)
        texts = [values.text(f"the filter {name}", value, values.VALUE_LIMIT, empty=True) for value in allowed]
        column = images.c[name]
        key = SORT_KEYS.get(name, column)
        yield Condition(
            unindexed.unindexed_text(column).in_(texts),
            matching_ids(key.in_(texts)),
            key == texts[0] if name in _ORDERED and len(texts) == 1 and texts != [""] else None,
            key.in_(texts) if name == "status" else None,
            name,
        )


def _numbers(query: ImageQuery) -> Iterator[Condition]:
    for name, number in query.equal.items():
        column, key = _number_column(name)
        value = values.number(f"the filter {name}", number)
        yield Condition(unindexed.unindexed_number(column) == value, matching_ids(key == value))
    for name, number in query.at_least.items():
        column, key = _number_column(name)
        value = values.number(f"the filter {name}_min", number)
        covered = key >= value if name == "min_ram" else None
        yield Condition(
            unindexed.unindexed_number(column) >= value, matching_ids(key >= value), covered=covered, column=name
        )
    for name, number in query.at_most.items():
        column, key = _number_column(name)
        value = values.number(f"the filter {name}_max", number)
        yield Condition(unindexed.unindexed_number(column) <= value, matching_ids(key <= value, key >= 0))


def _number_column(name: str) -> tuple[ColumnElement[int], ColumnElement[int]]:
    values.one_of("a filter by a number", name, _NUMBERS)
    return images.c[name], SORT_KEYS.get(name, images.c[name])


def _time(bound: TimeBound) -> Condition:
    values.one_of("a filter by a time", bound.field, ("created_at", "updated_at"))
    if not isinstance(bound.time, datetime) or bound.time.tzinfo is None:
        raise BadValue(f"the filter {bound.field} must be a time with its zone")
    column = images.c[bound.field]
    return Condition(_compared(unindexed.unindexed_text(column), bound), matching_ids(_compared(column, bound)))


def _compared(column: ColumnElement[str], bound: TimeBound) -> ColumnElement[bool]:
    try:
        second = bound.time.astimezone(UTC).replace(microsecond=0)
        start, end = _time_text(second), _time_text(second + timedelta(seconds=1))
    except OverflowError as error:
        raise BadValue(f"the filter {bound.field} must be a time of the years 1 to 9999") from error
    match bound.comparison:
        case "gt":
            return column >= end
        case "gte":
            return column >= start
        case "lt":
            return column < start
        case "lte":
            return column < end
        case "eq":
            return and_(column >= start, column < end)
        case "neq":
            return or_(column < start, column >= end)
    raise BadValue(f"the comparison {bound.comparison!r:.40} of a time must be gt, gte, lt, lte, eq or neq")


def _time_text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _flags(query: ImageQuery) -> Iterator[Condition]:
    for name, flag in (("hidden", query.hidden), ("protected", query.protected)):
        if flag is not None:
            column = images.c[name]
            wanted = values.flag(f"the filter {name}", flag)
            plain = unindexed.is_set(column) if wanted else unindexed.is_not_set(column)
            indexed = is_true(column) if wanted else None
            yield Condition(plain, None if indexed is None else matching_ids(indexed), covered=indexed, column=name)


def _rows(query: ImageQuery) -> Iterator[Condition]:
    """Conditions on the rows of other tables."""
    for tag in query.tags:
        text = values.text("a tag", tag, values.VALUE_LIMIT, empty=True)
        has_tag = exists().where(tags.c.image_id == images.c.id, tags.c.tag == text)
        yield Condition(has_tag, select(tags.c.image_id).where(tags.c.tag == text))
    hiding = properties.alias("hiding")
    for name, value in query.properties.items():
        values.text("the name of a property", name, values.VALUE_LIMIT, empty=True)
        values.text(f"the filter {name:.80}", value, values.VALUE_LIMIT, empty=True)
        same = and_(properties.c.name == name, properties.c.value == value)
        # Of several sources the last shows; a plugin hides the tenant's property (`records.image_of`).
        shown = ~exists().where(
            hiding.c.image_id == properties.c.image_id,
            hiding.c.name == properties.c.name,
            hiding.c.source > properties.c.source,
        )
        start = value[:_PREFIX]
        yield Condition(
            exists().where(properties.c.image_id == images.c.id, same, shown),
            # Without the value itself, which SQLite would put into the expression and then not know the index.
            select(properties.c.image_id).where(properties.c.name == name, VALUE_START.in_([start])),
        )


def matching_ids(*where: ColumnElement[bool]) -> Select[tuple[str]]:
    """The ids of the images for which a condition holds."""
    return select(images.c.id.label("image_id")).where(NOT_DELETED, *where)
