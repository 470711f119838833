"""The query string of ``GET /v2/images`` (1.5): filters, order and page, as the catalog's typed query, and the links.

A name that is no base field is a custom property that must be equal. A value that begins with an operator of another
kind of field is refused; any other value with a colon is taken as it is (Glance refuses ``name=ubuntu:24.04``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast, get_args
from urllib.parse import parse_qsl, urlencode

import msgspec

from douane.api.errors import bad_request, quoted
from douane.api.identity.rights import Identity
from douane.catalog.fields import VISIBILITIES
from douane.catalog.query import Comparison, ImageQuery, NumberField, TextField, TimeBound, TimeField
from douane.catalog.records import MemberStatus

from .bounds import DEFAULT_PAGE, LIST_ITEMS, NAME, PAGE, QUERY_BYTES, QUERY_FIELDS, SIZE, VALUE
from .identifiers import read_uuid
from .json_body import is_text
from .sorting import read_order

PATH = "/v2/images"
_TEXT = get_args(TextField)
_LISTED = ("id", "name", "status", "container_format", "disk_format")
"""Fields that take ``in:``."""
_NUMBERS = get_args(NumberField)
_TIMES = get_args(TimeField)
_COMPARISONS = get_args(Comparison)
_MEMBER_STATUSES = (*get_args(MemberStatus), "all")
_REPEATED = ("tag", "sort_key", "sort_dir")
_ONCE_ONLY = ("sort", "limit", "marker")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_LOST_PLUS = re.compile(r"(:[0-9:.]+) ([0-9]{2}:?[0-9]{2})", re.ASCII)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",]*)', re.DOTALL)


class ImageList(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a page of images."""

    query: ImageQuery
    parameters: tuple[tuple[str, str], ...]
    """As the client sent them, without the marker, for the links."""

    def first(self) -> str:
        """The path of the first page."""
        return _link(self.parameters)

    def next(self, ids: Sequence[str]) -> str | None:
        """The path of the next page, or None if the page with these `ids` was not full."""
        if not ids or len(ids) < (self.query.limit or 0):
            return None
        return _link((*self.parameters, ("marker", ids[-1])))


def read_image_list(query_string: str, identity: Identity, *, page: int = DEFAULT_PAGE) -> ImageList:
    """The request in `query_string`. Raises HttpError 400 for every value that cannot be used."""
    parameters = read_parameters(query_string)
    lists: dict[str, list[str]] = {}
    for name, value in parameters:
        lists.setdefault(name, []).append(value)
    _refuse_repeated(lists)
    single = {name: values[0] for name, values in lists.items() if name not in _REPEATED}
    fields: dict[str, Any] = {
        "project": identity.project_id,
        "everything": identity.is_admin,
        "sort": read_order(single.get("sort"), lists.get("sort_key", []), lists.get("sort_dir", [])),
        "tags": tuple(_text("tag", tag, NAME) for tag in lists.get("tag", [])),
        "limit": read_limit(single.get("limit"), page),
        "marker": read_marker(single.get("marker"), "an image"),
        **_filters({name: value for name, value in single.items() if name not in _ONCE_ONLY}),
    }
    lasting = tuple((name, value) for name, value in parameters if name != "marker")
    return ImageList(query=ImageQuery(**fields), parameters=lasting)


def split_list(value: str) -> tuple[str, ...]:
    r"""The values of ``in:``, separated by commas; quotes protect commas, and ``\"`` is a quote inside of quotes."""
    items = []
    position = 0
    while True:
        match = _QUOTED.match(value, position)
        assert match is not None, "the second alternative matches the empty text"
        items.append(re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match[1] is not None else match[2])
        position = match.end()
        if position == len(value):
            return tuple(items)
        if value[position] != ",":
            raise bad_request(f"The list {quoted(value)} has a quote that is not closed, or no comma beside it.")
        if len(items) == LIST_ITEMS:
            raise bad_request(f"A list of a filter has more than {LIST_ITEMS} values.")
        position += 1


def read_parameters(query_string: str) -> list[tuple[str, str]]:
    """The names and values in a query string, in their order. Raises HttpError 400."""
    if len(query_string) > QUERY_BYTES:
        raise bad_request(f"The query string has more than {QUERY_BYTES} characters.")
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS)
    except UnicodeDecodeError:
        raise bad_request("The query string is not UTF-8.") from None
    except ValueError:
        raise bad_request(f"The query string has more than {QUERY_FIELDS} parameters.") from None
    for name, value in pairs:
        _text("a parameter's name", name, NAME)
        _text(name, value, VALUE)
    return pairs


def _refuse_repeated(lists: dict[str, list[str]]) -> None:
    for name, values in lists.items():
        if len(values) > 1 and name not in _REPEATED:
            raise bad_request(f"The parameter {quoted(name)} occurs {len(values)} times; it may occur once.")


def _filters(single: dict[str, str]) -> dict[str, Any]:
    text: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, dict[str, int]] = {"equal": {}, "at_least": {}, "at_most": {}}
    times: list[TimeBound] = []
    properties: dict[str, str] = {}
    fields: dict[str, Any] = {"text": text, **numbers, "properties": properties}
    for name, value in single.items():
        if name in _TEXT:
            text[name] = _words(name, value)
        elif name in _NUMBERS:
            numbers["equal"][name] = _number(name, value)
        elif name.endswith(("_min", "_max")) and name[:-4] in _NUMBERS:
            numbers["at_least" if name.endswith("_min") else "at_most"][name[:-4]] = _number(name, value)
        elif name in _TIMES:
            times.append(_time(cast(TimeField, name), value))
        elif name in ("protected", "os_hidden"):
            fields["hidden" if name == "os_hidden" else name] = _boolean(name, value)
        elif name == "visibility":
            fields[name] = _word(name, value, (*VISIBILITIES, "all"))
        elif name == "member_status":
            fields[name] = _word(name, value, _MEMBER_STATUSES)
        elif name == "changes-since":
            raise bad_request("The filter 'changes-since' is of version 1; use 'updated_at=gte:TIME'.")
        else:
            properties[name] = value
    return {**fields, "times": tuple(times)}


def _words(name: str, value: str) -> tuple[str, ...]:
    operator, colon, rest = value.partition(":")
    if colon and name in _LISTED and operator == "in":
        words = split_list(rest)
    elif colon and operator == "eq":
        words = (rest,)
    elif colon and operator in (*_COMPARISONS, "in"):
        operators = "in: and eq:" if name in _LISTED else "eq:"
        raise bad_request(f"The filter {quoted(name)} does not take the operator '{operator}:'; it takes {operators}.")
    else:
        words = (value,)
    return tuple(read_uuid(word) or word for word in words) if name == "id" else words


def _number(name: str, value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= SIZE:
        return int(value)
    raise bad_request(f"The filter '{name}' is {quoted(value)}; a whole number from 0 on is expected.")


def _time(name: TimeField, value: str) -> TimeBound:
    operator, colon, rest = value.partition(":")
    if not colon or operator not in _COMPARISONS:
        operator, rest = "eq", value
    try:
        # "+01:00" in a query string that was not encoded arrives as " 01:00".
        time = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", rest))
        utc = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise bad_request(
            f"The filter '{name}' is {quoted(value)}; a time of ISO 8601 is expected, behind gt:, gte:, lt:, lte:, eq: "
            "or neq: if it is not to be equal."
        ) from None
    return TimeBound(name, cast(Comparison, operator), utc)


def _boolean(name: str, value: str) -> bool:
    if value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise bad_request(f"The filter '{name}' is {quoted(value)}; true or false is expected.")


def _word(name: str, value: str, words: tuple[str, ...]) -> str:
    if value in words:
        return value
    raise bad_request(f"The filter '{name}' is {quoted(value)}; it must be one of {', '.join(words)}.")


def read_limit(value: str | None, page: int) -> int:
    """The parameter ``limit``, cut to a page; `page` without one. Raises HttpError 400."""
    if value is None:
        return min(page, PAGE)
    if value.isascii() and value.isdigit():
        return PAGE if len(value) > 9 else min(int(value), PAGE)
    raise bad_request(f"The parameter 'limit' is {quoted(value)}; a whole number from 0 on is expected.")


def read_marker(value: str | None, noun: str) -> str | None:
    """The parameter ``marker``: the id of `noun`. Raises HttpError 400."""
    if value is None:
        return None
    marker = read_uuid(value)
    if marker is None:
        raise bad_request(f"The parameter 'marker' is {quoted(value)}; the id of {noun} is expected.")
    return marker


def _text(name: str, value: str, limit: int) -> str:
    if len(value) > limit:
        raise bad_request(f"The parameter {quoted(name)} has {len(value)} characters; at most {limit} are allowed.")
    if not is_text(value):
        raise bad_request(f"The parameter {quoted(name)} has a NUL, which is not text.")
    return value


def _link(parameters: Sequence[tuple[str, str]]) -> str:
    return f"{PATH}?{urlencode(parameters)}" if parameters else PATH
