"""JSON bodies of requests: bounded in size and depth, without double keys, and with text that a database can hold."""

from __future__ import annotations

import json
from typing import Any

from douane.api.errors import bad_request, over_quota, quoted

from .bounds import BODY_BYTES, BODY_DEPTH


class _DoubleKey(ValueError):
    pass


def read_json(body: bytes, *, limit: int = BODY_BYTES) -> Any:
    """The value in `body`. Raises HttpError 400, or 413 if it is longer than `limit` bytes.

    A key that occurs twice is refused: two programs that read such a body may see two different requests
    (RFC 8259, section 4).
    """
    if len(body) > limit:
        raise over_quota(f"The body has more than {limit} bytes, the most that this call takes.")
    if not body.strip():
        raise bad_request("The request has no body; a JSON document is expected.")
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise bad_request("The body is not UTF-8; a JSON document in UTF-8 is expected.") from None
    except _DoubleKey as error:
        raise bad_request(f"The body has the key {quoted(str(error))} twice in one object.") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        raise bad_request(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except ValueError:
        raise bad_request("The body has a number that is too long, or is not a number of JSON.") from None
    _check(value)
    return value


def read_object(body: bytes, *, limit: int = BODY_BYTES) -> dict[str, Any]:
    """As :func:`read_json`, for a body that must be a JSON object."""
    value = read_json(body, limit=limit)
    if not isinstance(value, dict):
        raise bad_request(f"The body must be a JSON object, not {kind(value)}.")
    return value


def kind(value: object) -> str:
    """The JSON type of `value`, for a sentence."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names: dict[type, str] = {str: "a string", list: "an array", dict: "an object", type(None): "null"}
    return names.get(type(value), "something else")


def is_text(value: str) -> bool:
    """False if `value` holds a NUL or half a surrogate pair, which PostgreSQL and UTF-8 cannot hold."""
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _DoubleKey(first_double([name for name, _ in pairs]))
    return value


def first_double(names: list[str]) -> str:
    """In one pass: a body may have tens of thousands of keys, and the event loop waits."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("the caller has seen that a key occurs twice")


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _check(value: Any) -> None:
    level = [value]
    for _ in range(BODY_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str) and not is_text(item):
                raise bad_request("The body has a character that is not text (a NUL or half a surrogate pair).")
            if isinstance(item, float) and item in (float("inf"), float("-inf")):
                raise bad_request("The body has a number that is too large.")
            if isinstance(item, dict):
                inner += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                inner += item
        if not inner:
            return
        level = inner
    raise _too_deep()


def _too_deep() -> Exception:
    return bad_request(f"The body has arrays and objects inside each other; at most {BODY_DEPTH} levels are read.")
