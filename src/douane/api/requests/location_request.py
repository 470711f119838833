"""The body of ``POST /v2/images/{id}/locations`` (no. 28), with which services register bytes that a store has."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from douane.api.errors import bad_request, quoted

from .bounds import URL
from .json_body import kind, read_object

Algorithm = Literal["md5", "sha256", "sha512"]
_DIGITS: dict[Algorithm, int] = {"md5": 32, "sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.ASCII | re.IGNORECASE)


class NewLocation(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of an image are, and their digest if the service knows it."""

    url: str
    algorithm: Algorithm | None = None
    digest: str | None = None
    """Hexadecimal digits in lower case."""


def read_location(body: bytes) -> NewLocation:
    """The location in `body`. Raises HttpError 400."""
    fields = read_object(body)
    url = fields.get("url")
    if not isinstance(url, str) or len(url) > URL or not url.isprintable() or not _SCHEME.fullmatch(url):
        raise bad_request(f"The 'url' of the location must be a URL of at most {URL} characters.")
    data = fields.get("validation_data")
    if data is None or data == {}:
        return NewLocation(url=url)
    if not isinstance(data, dict):
        raise bad_request(f"The 'validation_data' must be an object, not {kind(data)}.")
    algorithm, digest = _digest(data)
    return NewLocation(url=url, algorithm=algorithm, digest=digest)


def _digest(data: dict[str, Any]) -> tuple[Algorithm, str]:
    if unknown := data.keys() - {"os_hash_algo", "os_hash_value"}:
        raise bad_request(f"The 'validation_data' has {quoted(min(unknown))}, which is not known.")
    algorithm, digest = data.get("os_hash_algo"), data.get("os_hash_value")
    if not isinstance(algorithm, str) or algorithm not in _DIGITS:
        raise bad_request(f"The 'os_hash_algo' is {quoted(algorithm)}; it must be one of {', '.join(_DIGITS)}.")
    length = _DIGITS[algorithm]
    if not isinstance(digest, str) or len(digest) != length or not _HEX.fullmatch(digest):
        raise bad_request(f"The 'os_hash_value' of {algorithm} must have {length} hexadecimal digits.")
    return algorithm, digest.lower()
