"""The guest of the image that a plugin is given, and how the plugins of this package say what they could not read."""

from __future__ import annotations

import os

from douane.plugins.decompress.layers import next_layer
from douane.plugins.formats import tar_headers
from douane.plugins.formats.requests import HEAD_BYTES
from douane.plugins.ova.file_reader import FileReader
from douane_guest.budget import Budget
from douane_guest.errors import GuestError
from douane_guest.guest import open_guest
from douane_guest.source import FileSource
from douane_plugin import Incomplete, Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from douane_guest.guest import Guest
    from douane_guest.unread import UnreadParts
    from douane_plugin import Image

ARCHIVE = "guest-archive"
COMPRESSED = "guest-compressed"
"""The codes of an image that is packed: the command unpacks it by transforms, and tries again."""

NO_SUCH_PATH = "guest-no-such-path"

DELIVERED_RATIO = 64
DELIVERED_FLOOR = 1 << 30
"""Bytes of files that are read: a gibibyte, and 64 times the bytes of the image. zstd and zlib unpack what is in real
file systems to 2 to 10 times its size; extents that a million files share end here."""

MAX_LISTED = 200
MAX_TEXT = 300
"""Parts that could not be read in a document, and characters of a text in it: a document may have 256 KiB."""


def open_image(image: Image, *, unpacked: bool) -> Guest:
    """The guest. `unpacked`: the transforms have had their turn.

    Raises Reject with the code :data:`ARCHIVE` or :data:`COMPRESSED`."""
    file = image.file
    if not unpacked:
        _refuse_packed(FileReader(file))
    source = FileSource(file.fileno())
    return open_guest(source, Budget(delivered=DELIVERED_FLOOR + DELIVERED_RATIO * source.size))


def _refuse_packed(reader: FileReader) -> None:
    if tar_headers.begins_archive(reader.peek(HEAD_BYTES)):
        raise Reject(ARCHIVE, "the image is in an archive")
    if layer := next_layer(reader):
        raise Reject(COMPRESSED, f"the image is compressed with {layer.name}")


def argument(text: str) -> str:
    """A path or a name of the command line, which is given in hexadecimal digits: it need not be UTF-8."""
    return os.fsdecode(bytes.fromhex(text))


def documented(unread: UnreadParts) -> dict[str, Any]:
    """The parts that could not be read, as a document."""
    return documented_parts([(part.code, part.where, part.why) for part in unread])


def documented_parts(parts: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """The same of codes, places and reasons."""
    first = [{"place": shown(place), "code": code, "why": shown(why)} for code, place, why in parts[:MAX_LISTED]]
    return {"count": len(parts), "parts": first}


def shown(text: str) -> str:
    r"""A text of the guest for a document: bytes that are no UTF-8 as ``\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")[:MAX_TEXT]


def missing(error: OSError, unread: UnreadParts) -> Exception:
    """The answer if there is no such path: no; but if parts could not be read, it may be in one of them."""
    place = f"{shown(str(error.filename))}: " if error.filename is not None else ""
    sentence = f"{place}{error.strerror or error}"
    for part in unread:
        return Incomplete(part.code, f"{sentence}; but {shown(part.where)} could not be read: {shown(part.why)}")
    return Reject(NO_SUCH_PATH, sentence)


def unreadable(place: str, error: GuestError) -> Incomplete:
    """The answer if what was requested cannot be read."""
    return Incomplete(error.code, f"{shown(place)} cannot be read: {shown(error.why)}")
