"""Small images for tests, made without tools or downloads."""

from __future__ import annotations

import os
import struct
import zlib
from typing import Mapping, Optional, Union

KINDS = ("raw", "mbr", "gpt", "qcow2", "gzip")
"""The kinds of images that can be made."""

SECTOR = 512
CLUSTER = 65536
FIRST_PARTITION = 1 << 20
"""Offset in bytes of the partition of "mbr" and "gpt", where partitioning tools place the first one."""

_LINUX = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
"""The GUID of "Linux filesystem data", 0FC63DAF-8483-4772-8E79-3D69D8477DE4, as a GPT stores it (UEFI 2.10, 5.3.3)."""

Data = Union[bytes, Mapping[int, bytes]]
_Parts = list[tuple[int, bytes]]


def image_bytes(kind: str, size: Optional[int] = None, *, data: Data = b"", backing: Optional[str] = None) -> bytes:
    """Return a small image of `kind`, one of :data:`KINDS`.

    ``"raw"``: zeros. ``"mbr"``, ``"gpt"``: a disk with a partition table and one partition, which begins at 1 MiB.
    ``"qcow2"``: version 3, an empty disk; with `backing` (str) it names another file, as an attacker's image would.
    ``"gzip"``: a compressed raw disk.

    `size` is the size of the disk in bytes (a ``"qcow2"`` or ``"gzip"`` image is smaller), by default 1 MiB, for
    ``"mbr"`` and ``"gpt"`` 2 MiB. `data` is written into the disk: bytes at its start, or at the start of its
    partition; or a mapping of offsets in the disk to bytes. Raises ValueError for an unknown kind, a size that is too
    small, and `data` in a ``"qcow2"``.
    """
    length, parts = _make(kind, size, data, backing)
    image = bytearray(length)
    for offset, part in parts:
        image[offset : offset + len(part)] = part
    return bytes(image)


def write_image(
    path: Union[str, os.PathLike[str]],
    kind: str,
    size: Optional[int] = None,
    *,
    data: Data = b"",
    backing: Optional[str] = None,
) -> None:
    """Write the image that :func:`image_bytes` returns to `path`. Zeros are holes, so that it can be large.

    Raises ValueError as :func:`image_bytes` does, and OSError.
    """
    length, parts = _make(kind, size, data, backing)
    with open(path, "wb") as file:
        file.truncate(length)
        for offset, part in parts:
            file.seek(offset)
            file.write(part)


def _make(kind: str, size: Optional[int], data: Data, backing: Optional[str]) -> tuple[int, _Parts]:
    """Return the length of an image, and the parts of it that are not zero."""
    if kind not in KINDS:
        raise ValueError(f"the kind of an image is one of {', '.join(KINDS)}, not {kind!r:.60}")
    partitioned = kind in ("mbr", "gpt")
    if size is None:
        size = 2 * FIRST_PARTITION if partitioned else 1 << 20
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValueError(f"a size is a number of bytes, 0 or more, not {size!r:.60}")
    if partitioned and (size % SECTOR or size < FIRST_PARTITION + 64 * SECTOR):
        raise ValueError(f"a disk with a partition has whole sectors, and more than 1 MiB, not {size} bytes")
    if backing is not None and kind != "qcow2":
        raise ValueError(f"only a qcow2 has a backing file, not a {kind}")
    if kind == "qcow2":
        if data:
            raise ValueError("the disk of a qcow2 is empty here and takes no data; use kind = 'raw'")
        return _qcow2(size, backing)
    written = dict(data) if isinstance(data, Mapping) else {FIRST_PARTITION if partitioned else 0: bytes(data)}
    parts = [*_table(kind, size), *((offset, bytes(part)) for offset, part in written.items() if part)]
    for offset, part in parts:
        if offset < 0 or offset + len(part) > size:
            raise ValueError(f"{len(part)} bytes at {offset} do not fit on a disk of {size} bytes; make `size` larger")
    return _gzip(size, parts) if kind == "gzip" else (size, parts)


def _table(kind: str, size: int) -> _Parts:
    sectors, first = size // SECTOR, FIRST_PARTITION // SECTOR
    if kind == "mbr":
        return [(0, _mbr(0x83, first, sectors - first))]
    if kind != "gpt":
        return []
    # UEFI 2.10, 5.3: header, 32 sectors of entries, the partition, the entries again, the header again.
    last = sectors - 34
    entry = struct.pack("<16s16sQQQ72s", _LINUX, b"\x01" * 16, first, last, 0, "data".encode("utf-16-le"))
    entries = entry.ljust(32 * SECTOR, b"\0")
    return [
        (0, _mbr(0xEE, 1, sectors - 1)),
        (SECTOR, _gpt_header(1, sectors - 1, 2, last, entries)),
        (2 * SECTOR, entry),
        ((sectors - 33) * SECTOR, entry),
        ((sectors - 1) * SECTOR, _gpt_header(sectors - 1, 1, sectors - 33, last, entries)),
    ]


def _mbr(kind: int, first: int, count: int) -> bytes:
    # UEFI 2.10, 5.2.3: the first cylinder, head and sector of a protective MBR, which oslo.utils insists on.
    start = b"\0\2\0" if kind == 0xEE else b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0, start, kind, b"\xfe\xff\xff", first, min(count, 0xFFFFFFFF))
    return bytes(446) + entry.ljust(64, b"\0") + b"\x55\xaa"


def _gpt_header(mine: int, alternate: int, table: int, last: int, entries: bytes) -> bytes:
    def pack(checksum: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII",
            b"EFI PART",
            0x10000,
            92,
            checksum,
            0,
            mine,
            alternate,
            34,
            last,
            b"\x02" * 16,
            table,
            128,
            128,
            zlib.crc32(entries),
        )

    return pack(zlib.crc32(pack(0)))


def _qcow2(size: int, backing: Optional[str]) -> tuple[int, _Parts]:
    """Four clusters: header, refcount table, refcount block, L1 table. Source: docs/interop/qcow2.rst of QEMU."""
    l1_size = -(-size // (CLUSTER * CLUSTER // 8))
    if l1_size > CLUSTER // 8:
        raise ValueError(f"a qcow2 of this module holds a disk of at most 4 TiB, not {size} bytes")
    name = (backing or "").encode()
    name_offset = 112 if name else 0
    if len(name) > 1023:
        raise ValueError(f"the name of a backing file has at most 1023 bytes, not {len(name)}")
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, name_offset, len(name), 16, size, 0, l1_size, 3 * CLUSTER, CLUSTER, 1, 0, 0
    )
    header += struct.pack(">QQQII", 0, 0, 0, 4, 104)  # features, 16-bit refcounts, length of the header
    header = header.ljust(112, b"\0") + name  # 8 bytes: the end of the header extensions
    refcounts = struct.pack(">4H", 1, 1, 1, 1)
    return 4 * CLUSTER, [(0, header), (CLUSTER, struct.pack(">Q", 2 * CLUSTER)), (2 * CLUSTER, refcounts)]


def _gzip(size: int, parts: _Parts) -> tuple[int, _Parts]:
    packer = zlib.compressobj(9, wbits=31)
    compressed = []
    for offset in range(0, size, 1 << 20):
        block = bytearray(min(1 << 20, size - offset))
        for start, part in parts:
            low, high = max(start, offset), min(start + len(part), offset + len(block))
            if low < high:
                block[low - offset : high - offset] = part[low - start : high - start]
        compressed.append(packer.compress(block))
    packed = b"".join([*compressed, packer.flush()])
    return len(packed), [(0, packed)]
