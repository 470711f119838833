"""The URLs of objects in an S3 store."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit


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
