"""The size of the disk: by the image's own header, by qemu-img, and of the result. All must agree.

qemu-img has its own rules for what a header means, and they change with its version: of a VHD by VirtualBox it read
less than the disk until 10.0, and ended with status 0. The readers of `formats` say what the size is. qemu-img is given
it where it has an option for it, and is asked for the size that it reads; the result is measured.
"""

from __future__ import annotations

import os

from douane.plugins._image_format import ImageFormat
from douane.plugins.formats.examination import Examination
from douane.plugins.formats.registry import FORMATS
from douane_plugin import Reject
from douane_plugin._units import show_exact_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECTOR = 512
_PIECE_BYTES = 1 << 20
_MAX_HEADER_BYTES = 16 << 20
"""How far a result is read for its header. The last one is that of VHDX, in the third mebibyte."""


def padded(size: int) -> int:
    """`size` in whole sectors, as qemu has disks."""
    return -(-size // SECTOR) * SECTOR


def check_reading(size: int, read: int) -> None:
    """Raise Reject unless qemu-img reads a disk of `size` bytes, in whole sectors; `read` is what it says."""
    if read != padded(size):
        raise Reject(
            "convert-size",
            f"the image's disk has {show_exact_size(size)}, but qemu-img reads {show_exact_size(read)} of it; convert "
            "it where it was made, and upload the result",
        )


def check_header(size: int, stated: int | None) -> None:
    """Raise Reject unless the header of the image, now that the whole image has arrived, states `size` bytes."""
    if stated is None or padded(stated) != padded(size):
        raise Reject(
            "convert-size",
            f"{show_exact_size(size)} were read of the image's disk, but it has "
            f"{'no size' if stated is None else show_exact_size(stated)} by its header; convert it where it was made, "
            "and upload the result",
        )


def check_result(fd: int, disk_format: str, size: int) -> None:
    """Raise RuntimeError unless the image of `disk_format` in the file `fd` has a disk of `size` bytes."""
    made = _size_in_header(fd, disk_format)
    if made != padded(size):
        raise RuntimeError(
            f"qemu-img made a disk of {made} bytes of a disk of {size} bytes; this version of it cannot be used here"
        )


def exactly(pieces: Iterable[bytes | memoryview], size: int) -> Iterator[bytes | memoryview]:
    """Yield `pieces`. Raises RuntimeError if they are not `size` bytes together, in whole sectors."""
    total = 0
    for piece in pieces:
        total += len(piece)
        yield piece
        del piece  # a view of the image must be released before the next is asked for
    if total != padded(size):
        raise RuntimeError(f"the conversion made a disk of {total} bytes of a disk of {size} bytes")


def _size_in_header(fd: int, disk_format: str) -> int | None:
    """The size of the disk by the header of a result; None if it is not of `disk_format`, or has no size."""
    total = os.fstat(fd).st_size
    if disk_format == "raw":
        return total
    examination = Examination(FORMATS, total)
    while examination.position < min(total, _MAX_HEADER_BYTES):
        examination.feed(memoryview(os.pread(fd, _PIECE_BYTES, examination.position)))
        if examination.position == total:
            examination.finish()
        match = ImageFormat(examination).match
        if match is not None and match.disk_format == disk_format and match.virtual_size is not None:
            return match.virtual_size
    return None
