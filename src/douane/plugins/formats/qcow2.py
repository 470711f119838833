"""qcow2, versions 2 and 3: the format of QEMU.

Format: qemu, docs/interop/qcow2.txt.
"""

from douane_guest.headers.qcow2 import DATA_FILE, LUKS, MAGIC, MAX_BACKING_NAME

from .base import Format
from .qcow2_header import read_header
from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from douane_guest.headers.qcow2 import Qcow2Header

    from .match import Match
    from .requests import Reader, Request

    Region = tuple[int, int, str]

MAX_EXTENSIONS = 256
"""The number of header extensions that are read. Five are known, each of which may appear once."""

MAX_BITMAPS = 65535

END, BACKING_FORMAT, FEATURE_NAMES, CRYPTO, BITMAPS, DATA_FILE_NAME = (
    *(0, 0xE2792ACA, 0x6803F857, 0x0537BE77, 0x23852875, 0x44415441),
)


class Qcow2(Format):
    """Recognised by its magic, in any version but 1, which is another format.

    An image that is cut before the version, or has a future version, is a qcow2. So is an image of the three bytes
    ``QFI``: no disk has 3 bytes.
    """

    name = "qcow2"
    about = "versions 2 and 3"
    disk_format = "qcow2"
    declared_as = ("qcow2",)
    allowed = True
    qemu_driver = "qcow2"

    def begins(self, head: bytes) -> bool:
        return (head[:4] == MAGIC and head[4:8] != b"\0\0\0\1") or head == MAGIC[:3]

    def read(self, match: "Match") -> "Reader":
        """Read the header, its extensions and the name of the backing file, then the tables."""
        from .qcow2_tables import read_tables

        header = yield from read_header(match)
        if header is None:
            return
        regions = yield from _extensions(match, header)
        yield from _backing_file(match, header)
        if header.l1_size * 8 <= 32 << 20 and header.refcount_table_bytes <= 8 << 20 and header.nb_snapshots <= 1 << 16:
            yield from read_tables(match, header, header.cluster_size, regions)


def _extensions(match: "Match", header: "Qcow2Header") -> "Generator[Request, Any, list[Region]]":
    """Read the header extensions (qcow2_read_extensions() in block/qcow2.c); return the regions that they point to."""
    at, end = header.header_length, min(header.extensions_end, header.cluster_size)
    regions: list[Region] = []
    kinds: set[int] = set()
    twice: tuple[str, int] | None = None
    for _ in range(MAX_EXTENSIONS):
        if at >= end:
            break
        head = yield Bytes(at, 8, "the header extensions")
        kind, length = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
        if kind == DATA_FILE_NAME:
            name = yield Bytes(at + 8, min(length, max(0, end - at - 8), 1024), "the name of the data file", short=True)
            _data_file(match, header, name, at)
        if length > end - at - 8:
            match.find("header", f"the header extension {kind:#010x} of {length} bytes ends after {end}", at)
            break
        if kind == END:
            break
        if kind in kinds:
            twice = twice or (f"the header extension {kind:#010x} appears twice", at)
        kinds.add(kind)
        region = None
        if kind == BACKING_FORMAT:
            match.note("backing format", _text((yield Bytes(at + 8, min(length, 1024), "the backing format"))), at + 8)
        elif kind == CRYPTO:
            from .qcow2_tables import crypto_region

            region = crypto_region(match, header, (yield Bytes(at + 8, min(length, 17), "an extension")), at)
        elif kind == BITMAPS:
            region = _bitmaps(match, header, (yield Bytes(at + 8, min(length, 25), "an extension")), at)
        elif kind not in (FEATURE_NAMES, DATA_FILE_NAME):
            match.note("unknown header extension", f"{kind:#010x} of {length} bytes", at)
        if region is not None:
            regions.append(region)
        at += 8 + -(-length // 8) * 8
    else:
        match.find("header", f"there are more than {MAX_EXTENSIONS} header extensions", header.header_length)
    if twice:
        match.find("odd", *twice)
    if header.crypt_method == LUKS and CRYPTO not in kinds:
        match.find("header", "crypt_method is 2 (LUKS), but there is no encryption header", 32)
    return regions


def _data_file(match: "Match", header: "Qcow2Header", name: bytes, at: int) -> None:
    match.note("data file", _text(name), at + 8)
    bit = "" if header.incompatible_features & DATA_FILE else ", though incompatible feature bit 2 is not set"
    match.find("data-file", f"it names the data file {_text(name)!r}{bit}", at)


def _bitmaps(match: "Match", header: "Qcow2Header", data: bytes, at: int) -> "Region | None":
    if len(data) != 24:
        match.find("header", f"the bitmaps extension has {len(data)} bytes, but must have 24", at)
        return None
    count, reserved = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    length, offset = int.from_bytes(data[8:16], "big"), int.from_bytes(data[16:], "big")
    match.note("bitmaps", count, at + 8)
    if not header.autoclear_features & 1:
        return None  # another program wrote to the image: qemu drops the bitmaps without reading them
    invalid = reserved or not 1 <= count <= MAX_BITMAPS or offset % header.cluster_size
    if invalid or length > 1024 * MAX_BITMAPS:
        match.find("header", f"{count} bitmaps in a directory of {length} bytes at {offset} are impossible", at)
        return None
    return offset, length, "the bitmap directory"


def _backing_file(match: "Match", header: "Qcow2Header") -> "Reader":
    at, length = header.backing_file_offset, header.backing_file_size
    if not at:
        if length:
            match.find("odd", f"backing_file_size is {length}, but backing_file_offset is 0", 16)
        return
    if not length:
        match.find("header", f"backing_file_offset is {at}, but backing_file_size is 0", 8)
        return
    room = header.cluster_size - at
    if length > MAX_BACKING_NAME or length > room or at < header.header_length:
        match.find("header", f"the name of the backing file has {length} bytes at {at}, which do not fit", 8)
    readable = min(length, MAX_BACKING_NAME, max(0, room))
    name = (yield Bytes(at, readable, "the name of the backing file", short=True)) if readable else b""
    match.note("backing file", _text(name), at)
    match.find("backing-file", f"it names the backing file {_text(name)!r}", at)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
