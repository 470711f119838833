"""Marks that came when their bytes were gone: a request of a process that the network held back for minutes.

The marks of origins without a segment are looked for in two lists, of all marks and of all segments, which are read
side by side: memory does not grow with the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from douane.stores.paths import is_id

from .bucket import Bucket
from .records import DATA, HELD, data, held, staging

DOING = "look for marks without bytes"


def delete_strays(bucket: Bucket) -> int:
    """Delete the marks of keys that have neither bytes nor an object in staging/; how many they were."""
    strays = [mark for mark in _marks_without_bytes(bucket) if _is_stray(bucket, *mark)]
    bucket.delete([held(origin, key) for origin, key in strays], "delete marks without bytes")
    return len(strays)


def _marks_without_bytes(bucket: Bucket) -> Iterator[tuple[str, str]]:
    """Origins without a segment, and the key of each of their marks."""
    with_bytes = _origins(bucket, DATA)
    current = next(with_bytes, None)
    for name in bucket.names(HELD, DOING):
        origin, _, key = name.partition("/")
        while current is not None and current < origin:
            current = next(with_bytes, None)
        if origin != current and is_id(origin) and is_id(key):
            yield origin, key


def _origins(bucket: Bucket, folder: str) -> Iterator[str]:
    for origin, _ in groupby(bucket.names(folder, DOING), key=lambda name: name.partition("/")[0]):
        yield origin


def _is_stray(bucket: Bucket, origin: str, key: str) -> bool:
    """Look again, in this order: whoever stages a key writes staging/KEY before the mark, and the mark before bytes."""
    if bucket.record(staging(key), DOING) is not None or bucket.record(staging(origin), DOING) is not None:
        return False
    bucket.require_listed(held(origin), key, DOING)  # before and after: an answer that is no list seems empty
    has_bytes = any(bucket.names(data(origin), DOING))
    bucket.require_listed(held(origin), key, DOING)
    return not has_bytes
