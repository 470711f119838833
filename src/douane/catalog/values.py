"""Checks of all values before they are written: every function returns the value, or raises BadValue."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from douane.errors import BadValue

from .records import ImportRequest, strongest_digest, to_json

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # RFC 9562, section 4, lower case
NAME_LIMIT = 255
FORMAT_LIMIT = 64
VALUE_LIMIT = 65536
_GREATEST = 2**63 - 1


def identifier(value: object) -> str:
    """A UUID in lower case with dashes."""
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value
    raise BadValue(f"{value!r:.80} is not an id: expected a UUID in lower case, with dashes")


def text(what: str, value: object, limit: int = NAME_LIMIT, *, empty: bool = False) -> str:
    """A string of at most `limit` characters that any database can hold."""
    if not isinstance(value, str):
        raise BadValue(f"{what} must be text, not {type(value).__name__}")
    if not value and not empty:
        raise BadValue(f"{what} must not be empty")
    if len(value) > limit:
        raise BadValue(f"{what} has {len(value)} characters; at most {limit} are kept")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadValue(f"{what} has a character that is not text (a NUL or half a surrogate pair)")
    return value


def optional_text(what: str, value: object, limit: int = NAME_LIMIT) -> str | None:
    """As :func:`text`, or None."""
    return None if value is None else text(what, value, limit)


def number(what: str, value: object) -> int:
    """A number of bytes that fits a 64-bit column."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _GREATEST:
        return value
    raise BadValue(f"{what} must be a whole number of bytes from 0 on, not {value!r:.40}")


def optional_number(what: str, value: object) -> int | None:
    """As :func:`number`, or None."""
    return None if value is None else number(what, value)


def one_of(what: str, value: object, allowed: Iterable[str]) -> str:
    """One of the `allowed` words."""
    words = list(allowed)
    if isinstance(value, str) and value in words:
        return value
    raise BadValue(f"{what} must be one of {', '.join(words)}, not {value!r:.40}")


def tenant_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Names and values of properties that a tenant sets."""
    return {
        text("the name of a property", name): text(f"the property {name!r:.80}", value, VALUE_LIMIT, empty=True)
        for name, value in properties.items()
    }


def import_properties(properties: Mapping[str, tuple[str | None, str]]) -> dict[str, tuple[str | None, str]]:
    """Values and plugins of properties that an import sets, by name.

    The plugin is "" for a property of the image itself, which a value of None removes.
    """
    checked = {}
    for name, (value, plugin) in properties.items():
        removed = value is None and not plugin
        checked[text("the name of a property", name)] = (
            None if removed else text(f"the property {name!r:.80}", value, VALUE_LIMIT, empty=True),
            text(f"the plugin that set {name!r:.80}", plugin, empty=True),
        )
    return checked


def json(what: str, value: Any) -> str:
    """JSON text of `value`."""
    try:
        return to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(f"{what} cannot be written as JSON: {error}") from error


def from_json(text: str) -> Any:
    """The value of JSON text that the catalog wrote."""
    return msgspec.json.decode(text)


def formats(disk_format: object, container_format: object) -> dict[str, str | None]:
    """The two format columns."""
    return {
        "disk_format": optional_text("the disk format", disk_format, FORMAT_LIMIT),
        "container_format": optional_text("the container format", container_format, FORMAT_LIMIT),
    }


def flag(what: str, value: object) -> bool:
    """True or False."""
    if isinstance(value, bool):
        return value
    raise BadValue(f"{what} must be true or false, not {value!r:.40}")


def words(what: str, value: Iterable[object]) -> list[str]:
    """Different texts, such as tags or ids of stores, in order."""
    return sorted({text(what, word) for word in value})


def digest_columns(digests: Mapping[str, str]) -> dict[str, str | None]:
    """The columns by which an image is found by its digests."""
    strongest = strongest_digest(digests)
    return {
        "checksum": digests.get("md5"),
        "os_hash_algo": strongest,
        "os_hash_value": digests.get(strongest or ""),
    }


def import_request(request: ImportRequest) -> dict[str, str | None]:
    """The columns of a task that say who requested the import."""
    return {
        "owner": optional_text("the owner", request.owner),
        "user_id": optional_text("the user", request.user_id),
        "request_id": optional_text("the request's id", request.request_id),
        "import_req": None if request.import_req is None else json("the request", request.import_req),
        "stores": json("the stores", words("the id of a store", request.stores)),
        "expires_at": optional_text("the time of expiry", request.expires_at, 32),
        "trace": optional_text("the trace", request.trace, 64),
    }


def sentence(value: object, limit: int = VALUE_LIMIT) -> str:
    """Text that can be stored, whatever `value` is: the wording of a plugin must never keep an import from ending."""
    cleaned = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in str(value))
    if len(cleaned) > limit:
        cleaned = cleaned[: limit - 1] + "…"
    return cleaned or "unknown"
