"""LUKS, version 2: an encrypted disk after two copies of a header, most of which is JSON.

Format: cryptsetup, docs/on-disk-format-luks2.pdf ("LUKS2 On-Disk Format Specification").
"""

import struct

from .base import Format
from .requests import MAX_BYTES, Bytes, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import Match
    from .requests import Reader, Request

MAGIC, MAGIC_SECOND = b"LUKS\xba\xbe", b"SKUL\xba\xbe"
BINARY_BYTES = 4096
SIZES = tuple(16 << 10 << power for power in range(9))
"""Values of hdr_size: section 2.1, Table 1, the possible offsets of the second header."""

CHECKSUM_AT, CHECKSUM_BYTES = 0x1C0, 64
MAX_JSON = 256 << 10
"""Bytes of JSON that are parsed. cryptsetup writes 12 KiB, 4 MiB are possible; parsing takes 50 times the memory."""


class Luks2(Format):
    """Recognised by its magic and version.

    A second header alone is not recognised: it remains when an encrypted disk is partitioned again.
    """

    name = "luks2"
    about = "an encrypted volume"
    disk_format = "luks"
    declared_as = ("luks",)
    allowed = True
    signatures = ((0, MAGIC + b"\0\2"),)

    def read(self, match: "Match") -> "Reader":
        """Read both headers, and the JSON area of the first. The rest is encrypted."""
        from .luks2_json import read_json

        match.find("encrypted", "all but the headers is encrypted")
        first = yield from _header(match, 0, MAGIC, "the header")
        if first is None:
            return
        size, binary, text = first
        for name, offset, length in (
            ("label", 24, 48),
            ("csum_alg", 72, 32),
            ("uuid", 168, 40),
            ("subsystem", 208, 48),
        ):
            match.note(name, binary[offset : offset + length].split(b"\0")[0].decode("utf-8", "replace"), offset)
        match.note("hdr_size", size, 8)
        match.note("seqid", int.from_bytes(binary[16:24], "big"), 16)
        disk = read_json(match, text, size * 2) if text is not None else None
        second = yield from _header(match, size, MAGIC_SECOND, "the second header")
        if second is not None:
            if second[0] != size or second[1][16:24] != binary[16:24]:
                # a program takes the header with the higher seqid and overwrites the other one: section 2.2
                match.find("header", "the two headers differ in size or seqid: programs may take either", size)
            elif second[2] != text:
                match.find("header", "the two headers have the same seqid and different content", size)
        if disk is None:
            return
        start, disk_length = disk
        match.must_reach(start + (disk_length or 0), "the encrypted disk")
        if disk_length is None and match.size is not None:
            match.virtual_size = max(0, match.size - start)
        elif disk_length is not None:
            match.virtual_size = disk_length
        yield Tail(0)
        if disk_length is None:
            match.virtual_size = max(0, match.total - start)


def _header(
    match: "Match", at: int, magic: bytes, what: str
) -> "Generator[Request, Any, tuple[int, bytes, bytes | None] | None]":
    """The size of the header at `at`, its binary part, and its JSON area if not too long; None if not a header."""
    binary = yield Bytes(at, BINARY_BYTES, what)
    size, offset = struct.unpack_from(">Q", binary, 8)[0], struct.unpack_from(">Q", binary, 256)[0]
    if binary[:8] != magic + b"\0\2":
        match.find("checksum", f"{what} is not at {at}: {binary[:8]!r}", at)
        return None
    if size not in SIZES or offset != at:
        match.find("header", f"{what} at {at} has hdr_size {size} and hdr_offset {offset}", at + 8)
        return None
    import hashlib

    algorithm = binary[72:104].split(b"\0")[0].decode("ascii", "replace")
    try:
        digest = hashlib.new(algorithm)
    except (ValueError, TypeError):
        match.find("unknown-feature", f"{what} has an unknown checksum algorithm {algorithm!r}", at + 72)
        return None
    length = digest.digest_size
    if not 0 < length <= CHECKSUM_BYTES:
        match.find("unknown-feature", f"{what} has an unknown checksum algorithm {algorithm!r}", at + 72)
        return None
    digest.update(binary[:CHECKSUM_AT] + bytes(CHECKSUM_BYTES) + binary[CHECKSUM_AT + CHECKSUM_BYTES :])
    text = bytearray()
    for start in range(at + BINARY_BYTES, at + size, MAX_BYTES):
        piece = yield Bytes(start, min(MAX_BYTES, at + size - start), what)
        digest.update(piece)
        text += piece[: MAX_JSON + 1 - len(text)]
    if digest.digest() != binary[CHECKSUM_AT : CHECKSUM_AT + length]:
        match.find("checksum", f"the {algorithm} of {what} is wrong", at + CHECKSUM_AT)
    if len(text) > MAX_JSON and b"\0" not in text:
        match.find("odd", f"the JSON area of {what} exceeds {MAX_JSON} bytes and is not read", at + BINARY_BYTES)
        return size, binary, None
    return size, binary, bytes(text.split(b"\0")[0])
