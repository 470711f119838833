"""What some bytes are compressed with, from the bytes alone."""

from __future__ import annotations

from typing import NamedTuple

from . import bzip2, gzip, lz4, lzma, skippable, xz, zip_file, zstd
from .rules import Rules, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .source import Source

_HEAD_BYTES = 18  # .lzma needs the most
_LOOK_BYTES = 1 << 20
"""How far is looked behind frames that are to be skipped: well before `image.unchanged()` would come too late."""


class Format(NamedTuple):
    """How a kind of compression is called, recognised and unpacked."""

    name: str
    begins: Callable[[bytes], bool]
    unpack: Callable[[Source, Rules], Iterator[bytes]]


FORMATS = tuple(
    Format(module.NAME, module.begins, module.unpack) for module in (gzip, xz, zstd, bzip2, lz4, zip_file, lzma)
)


def detect(source: Source) -> Format | None:
    """The format of what comes next, or None. Nothing is consumed. Raises Reject if that would need too much."""
    head = source.peek(_HEAD_BYTES)
    if not skippable.is_skippable(head):
        return _by_head(head)
    look = source.peek(_LOOK_BYTES)
    at = 0
    while skippable.is_skippable(look[at : at + 4]):
        at += skippable.HEADER_BYTES + int.from_bytes(look[at + 4 : at + 8], "little")
    if at + 4 <= len(look):
        found = _by_head(look[at : at + _HEAD_BYTES])
        return found if found is not None and found.name in (zstd.NAME, lz4.NAME) else None
    if len(look) < _LOOK_BYTES:
        return None
    raise unsupported("zstd or lz4", "begin with more than 1 MiB that is to be skipped; compress it again")


def _by_head(head: bytes) -> Format | None:
    return next((each for each in FORMATS if each.begins(head)), None)
