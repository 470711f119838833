"""JSON that has one reading only: what is signed must not say one thing to this parser and another to the next."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(data: bytes | str, subject: str) -> Any:
    """The value of a JSON document. Raises ValueError with a clause about `subject`, also for a key that is doubled."""
    try:
        return json.loads(data, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # Python guesses an encoding of the bytes, and its words about that would mislead.
        reason = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else f"{error!s:.100}"
        raise ValueError(f"{subject} is no JSON: {reason}") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key comes twice")
    return table


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
