"""The headers of an upload, ``PUT /v2/images/{id}/file`` or ``/stage`` (no. 17 and 19)."""

from __future__ import annotations

import msgspec

from douane.api.errors import HttpError, bad_request, conflict, over_quota, quoted
from douane.api.requests.bounds import SIZE
from douane.api.requests.create import read_store_header

CONTENT_TYPE = "application/octet-stream"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that may begin."""

    announced: int | None
    """Bytes; None for a chunked body of a client that did not say."""
    store: str | None
    """The store that the header names; whether it exists is for the caller to check."""


def read_upload(
    *,
    content_type: str | None,
    content_encoding: str | None = None,
    content_length: str | None = None,
    image_size: str | None = None,
    store: str | None = None,
    limit: int | None = None,
) -> Upload:
    """The upload that these headers announce; `limit` is the greatest size in bytes, None: unlimited.

    `image_size` is X-OpenStack-Image-Size, which openstacksdk sends beside a length and glanceclient with chunks.
    Raises HttpError 400, 413 or 415.
    """
    form = (content_type or "").partition(";")[0].strip().lower()
    if form != CONTENT_TYPE:
        raise HttpError(415, f"The bytes of an image have the content type {CONTENT_TYPE}, not {quoted(form)}.")
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        raise HttpError(415, f"The encoding {quoted(content_encoding)} is not known; send the bytes as they are.")
    length = _size("Content-Length", content_length)
    size = _size("X-OpenStack-Image-Size", image_size)
    if length is not None and size is not None and length != size:
        if length == 0:  # keystoneauth repeats a request after 503, and its file is at its end by then
            raise bad_request(
                f"The body is empty, and the header X-OpenStack-Image-Size announces {size} bytes: the client "
                "repeated an upload, and its file was at its end. Upload the image again."
            )
        raise bad_request(f"The header X-OpenStack-Image-Size is {size}, and Content-Length is {length}.")
    announced = length if length is not None else size
    if limit is not None and announced is not None and announced > limit:
        raise too_large(limit)
    return Upload(announced=announced, store=read_store_header(store))


def require_queued(status: str) -> None:
    """Raise HttpError 409 if the image has bytes already, or gets some now; 410 if it was deleted."""
    if status == "deleted":
        raise HttpError(410, "The image was deleted.")
    if status != "queued":
        raise conflict(f"The image is {status}; only a queued image takes bytes.")


def require_received(upload: Upload, received: int) -> None:
    """Raise HttpError 400 if the body was shorter or longer than announced."""
    if upload.announced is not None and upload.announced != received:
        raise bad_request(f"The upload announced {upload.announced} bytes, and {received} arrived. Nothing was kept.")


def too_large(limit: int) -> HttpError:
    """413: an upload that is larger than the operator allows."""
    return over_quota(f"The image has more than {limit} bytes, the most that this service takes.")


def _size(header: str, value: str | None) -> int | None:
    if value is None:
        return None
    digits = value.strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and int(digits) <= SIZE:
        return int(digits)
    raise bad_request(f"The header {header} is {quoted(value)}; a number of bytes is expected.")
