"""The URLs of objects in an S3 store."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from .records import DATA, OWN_FOLDERS, STORE_ID

_OF_ANOTHER_STORE = re.compile(r"/((?:staging|images|data|held)/)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/|$)")
"""Behind a longer prefix of the same bucket; see `records.py`."""


def path_below(place: str, url: str) -> str | None:
    """The path of the object at `url` below the store's URL `place`; None if the URL leads to another place."""
    if "?" in url or "#" in url or "@" in url or url[:5].lower() != "s3://":
        return None
    try:
        store, parts = urlsplit(place), urlsplit(url)
        path = unquote(parts.path, errors="strict")
    except (ValueError, UnicodeDecodeError):
        return None
    prefix = f"{store.path}/"
    if parts.netloc != store.netloc or not path.startswith(prefix) or "\0" in path:
        return None
    names = path[len(prefix) :].split("/")
    return None if any(name in ("", ".", "..") for name in names) else "/".join(names)


def is_of_a_store(path: str, *, images: bool) -> bool:
    """True if a store wrote the object at `path`: this one, or another with a longer prefix in this bucket. Bytes of
    images do not count if `images` may be read."""
    if path.rpartition("/")[2] == STORE_ID:
        return True
    other = _OF_ANOTHER_STORE.search(path)
    folder = next((own for own in OWN_FOLDERS if path.startswith(own)), None) or (other[1] if other else None)
    return folder is not None and not (images and folder == DATA)
