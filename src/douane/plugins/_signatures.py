"""What the first and the last bytes of an image say it is, where oslo.utils does not look or misjudges."""

from __future__ import annotations

import re
import struct

SECTOR = 512
BLOCK = 1 << 16
"""Bytes that decide what an image is: last of them are UDF's descriptors, in the sectors from 16 of 2 KiB."""

TAIL = 3 * SECTOR
"""Bytes of the end that some formats keep a structure in: marker, footer and end-of-stream of a VMDK."""

HEADER_BYTES = {
    b"QFI\xfb": ("qcow2", 512),
    b"QED\x00": ("qed", 512),
    b"conectix": ("vhd", 512),
    b"vhdxfile": ("vhdx", 4 << 16),  # identifier, two headers, region table: MS-VHDX 2.2
    b"KDMV": ("vmdk", 512),
    b"COWD": ("vmdk", 512),
    b"LUKS\xba\xbe": ("luks", 592),
    b"WithoutFreeSpace": ("ploop", 64),
    b"WithouFreSpacExt": ("ploop", 64),
}
"""Signatures in the first bytes: the format, and the length of the header that must follow."""

_COMPRESSED = (b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", b"\x04\x22\x4d\x18", b"PK\3\4")

_VMDK_TEXT = re.compile(rb"(?:#[^\n]*\n|[ \t\r]*\n)*version=", re.IGNORECASE)
# What a reader of VMDK accepts at the start of a text descriptor: comments and empty lines, then the version.
# It looks no further, so bytes that are not text behind it do not stop it (qemu, block/vmdk.c, vmdk_probe).


def begins_as(head: bytes | bytearray) -> tuple[str, int] | None:
    """The format whose signature `head` begins with and the length of its header, or None."""
    for signature, told in HEADER_BYTES.items():
        if head.startswith(signature):
            return told
    if head[0x40:0x44] == b"\x7f\x10\xda\xbe":
        return "vdi", SECTOR
    return None


def header_bytes(name: str) -> int:
    """Length in bytes of the header at the start of an image of the format `name`."""
    return max(length for told, length in HEADER_BYTES.values() if told == name)


def is_vmdk_text(head: bytes) -> bool:
    """True if `head` is a VMDK descriptor without a disk: a text that names other files as its parts."""
    text = head[:4096]
    return _VMDK_TEXT.match(text) is not None or text[:21].lower() == b"# disk descriptorfile"


def is_udf(head: bytes) -> bool:
    """True for a volume recognition sequence of UDF that has no ISO 9660 in front (ECMA-167, 2/9)."""
    sectors = [head[at + 1 : at + 6] for at in range(0x8000, len(head) - 2047, 2048)]
    return bool(sectors) and sectors[0] == b"BEA01" and (b"NSR02" in sectors or b"NSR03" in sectors)


def is_compressed(head: bytes) -> bool:
    """True for gzip, xz, zstd, bzip2, lz4 and zip."""
    return head.startswith(_COMPRESSED)


def is_tar(head: bytes) -> bool:
    """True for a tar archive as POSIX or GNU write it."""
    return head[257:262] == b"ustar"


def is_ova(head: bytes) -> bool:
    """True for a tar archive whose first member is an OVF descriptor, as DSP0243 demands of an OVA."""
    return is_tar(head) and head[:100].rstrip(b"\x00").lower().endswith(b".ovf")


def partition_table(head: bytes) -> str | None:
    """``"gpt"``, ``"mbr"``, or None.

    The signature 55 AA at offset 510 alone is no partition table: kernels (bzImage), FAT, NTFS and many boot
    sectors have it. So the four entries must be possible ones, and one of them must be in use.
    """
    if len(head) < SECTOR or head[510:512] != b"\x55\xaa":
        return None
    types = []
    for at in range(446, 510, 16):
        kind, start, count = head[at + 4], *struct.unpack_from("<II", head, at + 8)
        if head[at] & 0x7F:
            return None
        if kind and start and count:
            types.append(kind)
    if b"EFI PART" in (head[512:520], head[4096:4104]) or 0xEE in types:
        return "gpt"
    return "mbr" if types else None


def fixed_vhd_size(tail: bytes, total: int) -> int | None:
    """The disk's size in bytes if `tail` ends in the footer of a fixed VHD of `total` bytes, else None.

    A fixed VHD is a raw disk and one sector behind it. The footer must be of type 2, and its size must be
    that of the bytes before it: else any raw disk could be taken for one by its last sector.
    """
    footer = tail[-SECTOR:]
    if len(footer) < SECTOR or not footer.startswith(b"conectix"):
        return None
    size, kind = struct.unpack(">Q4xI", footer[48:64])
    return int(size) if kind == 2 and size == total - SECTOR else None
