"""The answer to ``GET /v2/images/{id}/file`` (no. 18): its status, its headers, and which bytes follow."""

from __future__ import annotations

import msgspec

from douane.api.requests.ranges import ByteRange, read_range
from douane.catalog.records import Image

from .upload import CONTENT_TYPE


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """An answer without an error."""

    status: int
    """200, 204 or 206."""
    headers: dict[str, str]
    start: int = 0
    stop: int = 0
    """The bytes from `start` up to, and without, `stop` follow."""


def answer_download(
    image: Image, *, range_header: str | None = None, content_range: str | None = None, if_range: str | None = None
) -> Download:
    """The answer for an image that the identity may download. Raises HttpError 400 or 416.

    An image without data is 204. `if_range` is the tag of an earlier answer: for another tag the image is sent whole
    (RFC 9110, section 13.1.5), so that nobody joins the halves of two images.
    """
    if image.status not in ("active", "deactivated") or image.size is None:
        return Download(status=204, headers={})
    tag = entity_tag(image)
    headers = {"Content-Type": CONTENT_TYPE, "Accept-Ranges": "bytes", **({"ETag": tag} if tag else {})}
    if if_range is not None and if_range.strip() != tag:
        range_header = content_range = None
    part = read_range(range_header, content_range, image.size)
    if part is None:
        digest = {"Content-MD5": image.checksum} if image.checksum else {}
        return _download(200, ByteRange(0, image.size, image.size), {**headers, **digest})
    return _download(206, part, {**headers, "Content-Range": part.content_range})


def entity_tag(image: Image) -> str | None:
    """The header ETag: the strongest digest of the bytes, which never change; None if there is none."""
    return f'"{image.os_hash_value}"' if image.os_hash_value else None


def _download(status: int, part: ByteRange, headers: dict[str, str]) -> Download:
    length = {"Content-Length": str(part.stop - part.start)}
    return Download(status=status, headers={**headers, **length}, start=part.start, stop=part.stop)
