"""Which bytes of an image a download returns (no. 18): the header ``Range``, or ``Content-Range``, which Glance takes
as one."""

from __future__ import annotations

import re

import msgspec

from douane.api.errors import HttpError, bad_request, quoted

from .bounds import HEADER

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*", re.ASCII | re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"\s*bytes\s+([0-9]+)\s*-\s*([0-9]+)\s*/\s*([0-9]+|\*)\s*", re.ASCII | re.IGNORECASE)
_DIGITS = 19
"""Of the greatest size, 2**63 - 1; more digits lie beyond the end of every image."""


class ByteRange(msgspec.Struct, frozen=True):
    """The bytes from `start` up to, and without, `stop`, of an image of `size` bytes."""

    start: int
    stop: int
    size: int

    @property
    def content_range(self) -> str:
        """The header of the answer 206 (RFC 9110, section 14.4)."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


def read_range(range_header: str | None, content_range: str | None, size: int) -> ByteRange | None:
    """The bytes to return, or None for the whole image. Raises HttpError 400 for several ranges, and 416.

    Glance refuses a malformed range with 416, where RFC 9110 lets a server ignore it.
    """
    if range_header is not None:
        return _range(range_header, size)
    if content_range is not None:
        return _content_range(content_range, size)
    return None


def _range(header: str, size: int) -> ByteRange:
    if "," in header:
        raise bad_request("The header Range has several ranges; ask for them one by one.")
    match = _RANGE.fullmatch(header) if len(header) <= HEADER else None
    if match is None or not (match[1] or match[2]):
        raise _unsatisfiable(f"The header Range is {quoted(header)}; 'bytes=FIRST-LAST' is expected.", size)
    first, last = _position(match[1]), _position(match[2])
    if first is None:
        count = min(last or 0, size)
        if count == 0:
            raise _unsatisfiable(f"The header Range asks for no byte of the image, which has {size}.", size)
        return ByteRange(size - count, size, size)
    if last is not None and last < first:
        raise _unsatisfiable(f"The header Range is {quoted(header)}, which ends before it begins.", size)
    if first >= size:
        raise _unsatisfiable(f"The header Range begins at byte {first}; the image has {size} bytes.", size)
    return ByteRange(first, size if last is None else min(last + 1, size), size)


def _content_range(header: str, size: int) -> ByteRange:
    match = _CONTENT_RANGE.fullmatch(header) if len(header) <= HEADER else None
    first, last = (_position(match[1]), _position(match[2])) if match else (None, None)
    if match is None or first is None or last is None or last < first:
        raise _unsatisfiable(
            f"The header Content-Range is {quoted(header)}; 'bytes FIRST-LAST/SIZE' is expected.",
            size,
        )
    if last >= size or match[3] not in ("*", str(size)):
        raise _unsatisfiable(f"The header Content-Range does not fit the image, which has {size} bytes.", size)
    return ByteRange(first, last + 1, size)


def _position(digits: str) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _DIGITS else 10**_DIGITS


def _unsatisfiable(message: str, size: int) -> HttpError:
    return HttpError(416, message, headers={"Content-Range": f"bytes */{size}"})
