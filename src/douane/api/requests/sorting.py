"""The order of a list of images: ``sort=key:dir,key``, or repeated ``sort_key`` and ``sort_dir`` (1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from douane.api.errors import bad_request, quoted
from douane.catalog.query import SortField, SortKey

from .bounds import SORT_KEYS

_KEYS = get_args(SortField)
_DEFAULT = "created_at"


def read_order(sort: str | None, keys: Sequence[str], directions: Sequence[str]) -> tuple[SortKey, ...]:
    """The keys to sort by; empty for the default order. Raises HttpError 400."""
    if sort is not None:
        if keys or directions:
            raise bad_request("The parameter 'sort' cannot be combined with 'sort_key' and 'sort_dir'.")
        pairs = [part.partition(":") for part in sort.strip().split(",")]
        return _order([(key, direction or "desc") for key, _, direction in pairs])
    if len(directions) > 1 and len(directions) != len(keys):
        raise bad_request(
            f"There are {len(directions)} of 'sort_dir' and {len(keys)} of 'sort_key'; "
            "give one direction for all keys, or one for each."
        )
    if not keys and not directions:
        return ()
    names = list(keys) or [_DEFAULT]
    words = list(directions) or ["desc"]
    return _order(list(zip(names, words * len(names) if len(words) == 1 else words, strict=True)))


def _order(pairs: Sequence[tuple[str, str]]) -> tuple[SortKey, ...]:
    if len(pairs) > SORT_KEYS:
        raise bad_request(f"There are {len(pairs)} keys to sort by; at most {SORT_KEYS} are allowed.")
    return tuple(SortKey(_key(key.strip()), _is_descending(direction.strip())) for key, direction in pairs)


def _key(name: str) -> SortField:
    if name in _KEYS:
        return cast(SortField, name)
    raise bad_request(f"The sort key {quoted(name)} is not known; it must be one of {', '.join(_KEYS)}.")


def _is_descending(word: str) -> bool:
    if word in ("asc", "desc"):
        return word == "desc"
    raise bad_request(f"The sort direction {quoted(word)} is not known; it must be asc or desc.")
