"""Resumable uploads by draft-ietf-httpbis-resumable-upload-12: what the headers of a request say, and those of answers.

An upload resource is the task of an open upload (`douane.catalog.open_source`). The server below this application sends
no interim answers, so nobody gets a 104: a client learns the resource by the answer to a first, empty part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from douane.api.errors import HttpError, bad_request, quoted

from .upload import too_large

INTEROP_VERSION = 8
"""Of the draft that is implemented; versions differ in what the headers mean."""
PART_TYPE = "application/partial-upload"
Limits = Mapping[str, int]

_BOOLEAN = re.compile(r"\?([01])(?:;.*)?", re.ASCII | re.DOTALL)
_INTEGER = re.compile(r"([0-9]{1,15})(?:;.*)?", re.ASCII | re.DOTALL)
_PROBLEMS = "https://iana.org/assignments/http-problem-types#"


class PartHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of a request that brings a part of an image."""

    is_last: bool | None = None
    """The header Upload-Complete."""

    offset: int | None = None
    length: int | None = None
    """The header Upload-Length: bytes of the image."""

    part: int | None = None
    """The header Content-Length: bytes of this part; None for chunks."""

    version: str | None = None


def read_part_headers(headers: Mapping[str, str]) -> PartHeaders:
    """Names of `headers` are in lower case. Raises HttpError 400 for a malformed value: if it counted as absent, as
    structured fields permit, a part would be taken for the whole image, or a length would not be compared."""
    is_last = _header_value(headers, "Upload-Complete", _BOOLEAN, "?0, or ?1 with the last part")
    offset = _header_value(headers, "Upload-Offset", _INTEGER, "the offset of the part, such as 0")
    length = _header_value(headers, "Upload-Length", _INTEGER, "the bytes of the image")
    return PartHeaders(
        is_last=None if is_last is None else is_last == "1",
        offset=None if offset is None else int(offset),
        length=None if length is None else int(length),
        part=_integer(headers.get("content-length")),
        version=headers.get("upload-draft-interop-version"),
    )


def begins_open_upload(part: PartHeaders) -> bool:
    """True if the client will send further parts. Raises HttpError 400 if it means another version of the draft.

    A client that sends the whole image (``?1``) gets an ordinary upload: without interim answers it could not learn the
    resource while it sends.
    """
    if part.is_last is not False:
        return False
    require_version(part, is_optional=False)
    return True


def require_version(part: PartHeaders, *, is_optional: bool = True) -> None:
    """Raise HttpError 400 if the client means another version of the draft."""
    if part.version is None and is_optional:
        return
    if _integer(part.version) != INTEROP_VERSION:
        version = "nothing" if part.version is None else quoted(part.version)
        raise bad_request(
            f"The header Upload-Draft-Interop-Version says {version}; resumable uploads are those of version "
            f"{INTEROP_VERSION} (draft-ietf-httpbis-resumable-upload-12)."
        )


def whole_length(part: PartHeaders, offset: int, announced: int | None) -> int | None:
    """The length of the image, by this part at `offset` and by what was `announced`; None if nobody has said it.

    Raises HttpError 400 if two say different lengths, or if the part does not fit into it.
    """
    end = None if part.part is None else offset + part.part
    lengths = {length for length in (part.length, announced, end if part.is_last else None) if length is not None}
    if len(lengths) > 1:
        raise inconsistent_length(f"The length of the upload is said to be {' and '.join(map(str, sorted(lengths)))}.")
    length = next(iter(lengths), None)
    if length is not None and max(offset, end or 0) > length:
        raise inconsistent_length(f"The part ends at {max(offset, end or 0)}, and the upload has {length} bytes.")
    return length


def require_size(length: int | None, part: PartHeaders, offset: int, limits: Limits) -> None:
    """Raise HttpError 413 if the image has, or the part brings, more bytes than the service takes."""
    limit = limits.get("max-size")
    largest = max(length or 0, offset + (part.part or 0))
    if limit is not None and largest > limit:
        raise over_size(limits)


def over_size(limits: Limits, code: str | None = None) -> HttpError:
    """413 with the limits, as the draft wants it."""
    headers = {"Upload-Limit": limit_header(limits)}
    return HttpError(413, too_large(limits["max-size"]).message, headers=headers, code=code)


def require_append(part: PartHeaders, content_type: str | None, content_encoding: str | None) -> None:
    """Raise HttpError 400 or 415 if a PATCH does not say what the draft wants of it."""
    form = (content_type or "").partition(";")[0].strip().lower()
    if form != PART_TYPE:
        raise HttpError(415, f"A part of an upload has the content type {PART_TYPE}, not {quoted(form)}.")
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        raise HttpError(415, f"The encoding {quoted(content_encoding)} is not known; send the bytes as they are.")
    require_version(part)
    for name, value, example in (
        ("Upload-Offset", part.offset, "the offset of the part, such as 0"),
        ("Upload-Complete", part.is_last, "?0, or ?1 with the last part"),
    ):
        if value is None:
            raise bad_request(f"The header {name} is expected: {example}.")


def wrong_offset(expected: int, provided: int, *, is_complete: bool = False) -> HttpError:
    """409: the part does not begin where the kept bytes end."""
    title = "offset from request does not match offset of resource"
    message = f"The upload has {expected} bytes, and the part begins at {provided}."
    if is_complete:
        message = f"The upload is complete, and has {expected} bytes; no part at {provided} can follow."
    return HttpError(
        409,
        message,
        headers={"Upload-Offset": str(expected), "Upload-Complete": "?0"},
        problem={
            "type": f"{_PROBLEMS}mismatching-upload-offset",
            "title": title,
            "expected-offset": expected,
            "provided-offset": provided,
        },
    )


def inconsistent_length(message: str, code: str | None = None) -> HttpError:
    """400: the requests of an upload say different lengths, or more bytes came than were announced."""
    return HttpError(
        400,
        message,
        headers={"Upload-Complete": "?0"},
        code=code,
        problem={"type": f"{_PROBLEMS}inconsistent-upload-length", "title": "inconsistent length values for upload"},
    )


def limits_of(max_size: int | None, seconds: float) -> Limits:
    """The limits of an upload that stays open for `seconds`."""
    limits = {"min-size": 0} if max_size is None else {"max-size": max_size}
    return {**limits, "max-age": max(0, int(seconds))}


def limit_header(limits: Limits) -> str:
    """The header Upload-Limit."""
    return ", ".join(f"{name}={value}" for name, value in limits.items())


def state_headers(offset: int, length: int | None, *, is_complete: bool) -> dict[str, str]:
    """The headers about the state of an upload."""
    headers = {
        "Upload-Offset": str(offset),
        "Upload-Complete": f"?{int(is_complete)}",
        "Upload-Draft-Interop-Version": str(INTEROP_VERSION),
    }
    return headers if length is None else {**headers, "Upload-Length": str(length)}


def seconds_until(time: str) -> float:
    """`time` is a time of the catalog."""
    return (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()


def _header_value(headers: Mapping[str, str], name: str, form: re.Pattern[str], example: str) -> str | None:
    value = headers.get(name.lower())
    if value is None:
        return None
    match = form.fullmatch(value.strip())
    if match is None:
        raise bad_request(f"The header {name} is {quoted(value)}; one value is expected: {example}.")
    return match[1]


def _integer(value: Any) -> int | None:
    match = _INTEGER.fullmatch(value.strip()) if isinstance(value, str) else None
    return None if match is None else int(match[1])
