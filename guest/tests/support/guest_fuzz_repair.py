"""Checksums of a mutant made right again: else they refuse it before the code behind them sees it.

Each function repairs one kind of structure, where a change lies in one.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Callable, Collection

from guest_fuzz_images import Image

from douane_guest.errors import GuestError
from douane_guest.filesystems.btrfs.checksum import BLOCK_CHECKSUMS, checksum
from douane_guest.filesystems.exfat.folder import checksum_of
from douane_guest.headers import vhd
from douane_guest.headers.crc32c import crc32c
from douane_guest.volumes import md
from douane_guest.volumes.lvm.label import lvm_crc

SECTOR = 512
Offsets = Collection[int]
"""Of the bytes that were changed."""


def repair(image: Image, changes: Offsets) -> None:
    """Repair all checksums that this module knows."""
    for function in REPAIRERS:
        try:
            function(image, changes)
        except (GuestError, struct.error, LookupError):
            continue  # A structure that was changed so much that it has no checksum any more.


def _blocks(changes: Offsets, size: int) -> list[int]:
    return sorted({place // size * size for place in changes})


def _ext(image: Image, changes: Offsets) -> None:
    data = image.pread(1024, 1024)
    if data[0x38:0x3A] == b"\x53\xef":
        image.pwrite(1024 + 0x3FC, struct.pack("<I", ~crc32c(data[:0x3FC]) & 0xFFFFFFFF))


def _xfs(image: Image, changes: Offsets) -> None:
    size = 512
    data = image.pread(0, size)
    if data[:4] == b"XFSB":
        size = int.from_bytes(data[102:104], "big")
        data = image.pread(0, min(size, 1 << 16))
        image.pwrite(224, struct.pack("<I", crc32c(data[:224] + bytes(4) + data[228:])))


def _btrfs(image: Image, changes: Offsets) -> None:
    head = image.pread(64 << 10, 4096) if image.size > 80 << 10 else b""
    if head[64:72] != b"_BHRfS_M":
        return
    kind, size = int.from_bytes(head[0xC4:0xC6], "little"), int.from_bytes(head[0x94:0x98], "little")
    kind = kind if kind in BLOCK_CHECKSUMS else 0
    image.pwrite(64 << 10, checksum(kind, head[32:]))
    for place in _blocks(changes, size if size in (4096, 8192, 16384, 32768, 65536) else 16384):
        node = image.pread(place, size)
        if node[32:48] == head[32:48] and node[64:72] != b"_BHRfS_M":
            image.pwrite(place, checksum(kind, node[32:]))


def _erofs(image: Image, changes: Offsets) -> None:
    head = image.pread(1024, 128)
    if head[:4] == b"\xe2\xe1\xf5\xe0" and head[12] <= 16:
        block = 1 << head[12]
        data = image.pread(1024, block - 1024 if block > 1024 else block)
        image.pwrite(1028, struct.pack("<I", ~crc32c(data[:4] + bytes(4) + data[8:]) & 0xFFFFFFFF))


def _exfat(image: Image, changes: Offsets) -> None:
    head = image.pread(0, SECTOR)
    if head[3:11] != b"EXFAT   ":
        return
    size = 1 << min(max(head[108], 9), 12)
    if min(changes) < 11 * size:
        value = 0
        for place, byte in enumerate(image.pread(0, 11 * size)):
            if place not in (106, 107, 112):
                value = ((value << 31 | value >> 1) + byte) & 0xFFFFFFFF
        image.pwrite(11 * size, struct.pack("<I", value) * (size // 4))
    for place in _blocks(changes, 32):
        for first in range(place, max(place - 19 * 32, -1), -32):
            record = image.pread(first, 32)
            if record[0] == 0x85:
                rest = [image.pread(first + 32 * number, 32) for number in range(1, record[1] + 1)]
                image.pwrite(first + 2, struct.pack("<H", checksum_of([record, *rest])))
                break


def _udf(image: Image, changes: Offsets) -> None:
    """Of a descriptor the tag says where it is, which a change may have hit, too."""
    if image.size < 40_000 or b"BEA01" not in image.pread(32768, min(image.size - 32768, 65536)):
        return
    for place in {start for size in (512, 2048) for start in _blocks(changes, size)}:
        head = bytearray(image.pread(place, 16))
        kind, version = struct.unpack_from("<HH", head)
        length = int.from_bytes(head[10:12], "little")
        if version not in (2, 3) or not (1 <= kind <= 9 or 256 <= kind <= 266) or length > 2032:
            continue
        struct.pack_into("<H", head, 8, binascii.crc_hqx(image.pread(place + 16, length), 0))
        head[4] = (sum(head) - head[4]) & 0xFF
        image.pwrite(place, bytes(head))


def _gpt(image: Image, changes: Offsets) -> None:
    for size in (512, 4096):
        for place in (size, image.size - size):
            head = bytearray(image.pread(place, size))
            if head[:8] != b"EFI PART":
                continue
            table, count, width = struct.unpack_from("<QII", head, 72)
            if count * width <= 1 << 20 and table * size + count * width <= image.size:
                struct.pack_into("<I", head, 88, zlib.crc32(image.pread(table * size, count * width)))
            length = int.from_bytes(head[12:16], "little")
            struct.pack_into("<I", head, 16, zlib.crc32(bytes(head[:16]) + bytes(4) + bytes(head[20:length])))
            image.pwrite(place, bytes(head))


def _lvm(image: Image, changes: Offsets) -> None:
    for place in _blocks(changes, SECTOR):
        data = image.pread(place, SECTOR)
        if data[:8] == b"LABELONE":
            image.pwrite(place + 16, struct.pack("<I", lvm_crc(data[20:])))
    for start in {place // 4096 * 4096 + shift for place in changes for shift in (0, 512, 1024, 2048, 3072)}:
        for area in (start, start - 4096, start - 8192, start - 512, start - 1024):
            _repair_area(image, area)


def _repair_area(image: Image, place: int) -> None:
    if not 0 <= place <= image.size - SECTOR:
        return
    data = bytearray(image.pread(place, SECTOR))
    if bytes(data[4:20]) != b" LVM2 x[5A%r0N*>":
        return
    size = int.from_bytes(data[32:40], "little")
    offset, count = struct.unpack_from("<QQ", data, 40)
    if SECTOR <= offset < size <= image.size - place and count <= size:
        first = min(count, size - offset)
        text = image.pread(place + offset, first) + image.pread(place + SECTOR, count - first)
        struct.pack_into("<I", data, 56, lvm_crc(text))
    struct.pack_into("<I", data, 0, lvm_crc(bytes(data[4:])))
    image.pwrite(place, bytes(data))


def _md(image: Image, changes: Offsets) -> None:
    for place in _blocks(changes, SECTOR):
        data = bytearray(image.pread(place, min(4096, image.size - place)))
        magic, major = struct.unpack_from("<II", data)
        if magic != md.MAGIC or len(data) < 4096:
            continue
        if major == 1:
            roles = min(int.from_bytes(data[220:224], "little"), 1920)
            struct.pack_into("<I", data, 216, md._checksum(bytes(data[: 256 + 2 * roles])))
        else:
            total = sum(struct.unpack("<1024I", data)) - int.from_bytes(data[152:156], "little")
            struct.pack_into("<I", data, 152, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
        image.pwrite(place, bytes(data))


def _vhd(image: Image, changes: Offsets) -> None:
    for place in {0, image.size - SECTOR, *_blocks(changes, SECTOR)}:
        data = image.pread(place, SECTOR)
        if data[:8] == b"conectix":
            image.pwrite(place + 64, struct.pack(">I", vhd.checksum(data, 64)))
        elif data[:8] == b"cxsparse":
            image.pwrite(place + 36, struct.pack(">I", vhd.checksum(image.pread(place, 1024), 36)))


def _vhdx(image: Image, changes: Offsets) -> None:
    if image.pread(0, 8) != b"vhdxfile":
        return
    for place, size in ((64 << 10, 4096), (128 << 10, 4096), (192 << 10, 64 << 10), (256 << 10, 64 << 10)):
        if any(place <= change < place + size for change in changes):
            data = image.pread(place, size)
            image.pwrite(place + 4, struct.pack("<I", crc32c(data[:4] + bytes(4) + data[8:])))
    size, start = struct.unpack("<IQ", image.pread((64 << 10) + 68, 12))
    for place in range(start, start + min(size, 1 << 20), 4096):
        if image.pread(place, 4) == b"loge":
            length = struct.unpack("<I", image.pread(place + 8, 4))[0]
            if any(place <= change < place + length for change in changes) and place + length <= start + size:
                data = image.pread(place, length)
                image.pwrite(place + 4, struct.pack("<I", crc32c(data[:4] + bytes(4) + data[8:])))


REPAIRERS: tuple[Callable[[Image, Offsets], None], ...] = (
    *(_ext, _xfs, _btrfs, _erofs, _exfat, _udf, _gpt, _lvm, _md, _vhd, _vhdx),
)
