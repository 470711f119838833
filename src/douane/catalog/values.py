"""What may be written into the catalog: checked once, in words, before any statement runs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from douane.catalog.records import to_json
from douane.errors import BadValue

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # RFC 9562, section 4, lower case
NAME_LIMIT = 255
FORMAT_LIMIT = 64
VALUE_LIMIT = 65536
_GREATEST = 2**63 - 1


def identifier(value: object) -> str:
    """A UUID in lower case with dashes. Raises CatalogError."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value
    raise BadValue(f"{value!r:.80} is not an id: expected a UUID in lower case, with dashes")


def text(what: str, value: object, limit: int = NAME_LIMIT, *, empty: bool = False) -> str:
    """A string of at most `limit` characters that any database can hold. Raises CatalogError."""
    if not isinstance(value, str):
        raise BadValue(f"{what} must be text, not {type(value).__name__}")
    if not value and not empty:
        raise BadValue(f"{what} must not be empty")
    if len(value) > limit:
        raise BadValue(f"{what} has {len(value)} characters; at most {limit} are kept")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadValue(f"{what} has a character that is no text (a NUL or half a surrogate pair)")
    return value


def optional_text(what: str, value: object, limit: int = NAME_LIMIT) -> str | None:
    """As :func:`text`, or None."""
    return None if value is None else text(what, value, limit)


def number(what: str, value: object) -> int:
    """A count of bytes that a 64-bit column holds. Raises CatalogError."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _GREATEST:
        return value
    raise BadValue(f"{what} must be a whole number of bytes from 0 on, not {value!r:.40}")


def optional_number(what: str, value: object) -> int | None:
    """As :func:`number`, or None."""
    return None if value is None else number(what, value)


def one_of(what: str, value: object, allowed: Iterable[str]) -> str:
    """One of the words allowed. Raises CatalogError."""
    words = list(allowed)
    if isinstance(value, str) and value in words:
        return value
    raise BadValue(f"{what} must be one of {', '.join(words)}, not {value!r:.40}")


def tenant_properties(found: Mapping[str, str]) -> dict[str, str]:
    """Names and values of properties that a tenant sets. Raises CatalogError."""
    return {
        text("the name of a property", name): text(f"the property {name!r:.80}", value, VALUE_LIMIT, empty=True)
        for name, value in found.items()
    }


def found_properties(found: Mapping[str, tuple[str | None, str]]) -> dict[str, tuple[str | None, str]]:
    """As :func:`tenant_properties`, with each value beside the plugin that set it in its own namespace, or "" for a
    property of the image itself, which None removes."""
    checked = {}
    for name, (value, plugin) in found.items():
        removed = value is None and not plugin
        checked[text("the name of a property", name)] = (
            None if removed else text(f"the property {name!r:.80}", value, VALUE_LIMIT, empty=True),
            text(f"the plugin that set {name!r:.80}", plugin, empty=True),
        )
    return checked


def json(what: str, value: Any) -> str:
    """JSON text. Raises CatalogError for what JSON cannot say."""
    try:
        return to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(f"{what} cannot be written as JSON: {error}") from error


def formats(disk_format: object, container_format: object) -> dict[str, str | None]:
    """The two format columns, checked. Raises CatalogError."""
    return {
        "disk_format": optional_text("the disk format", disk_format, FORMAT_LIMIT),
        "container_format": optional_text("the container format", container_format, FORMAT_LIMIT),
    }


def sentence(value: object, limit: int = VALUE_LIMIT) -> str:
    """Text that can be stored, whatever came: how a plugin words things must never keep an import from
    ending."""
    cleaned = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in str(value))
    if len(cleaned) > limit:
        cleaned = cleaned[: limit - 1] + "…"
    return cleaned or "unknown"
