"""Images written by hand, header by header: those that no well-meaning tool makes, or none that is at hand."""

from __future__ import annotations

import struct
import zlib

MIB = 1 << 20


def patched(image: bytes, *changes: tuple[int, bytes]) -> bytes:
    """`image` with other bytes at these offsets."""
    copy = bytearray(image)
    for at, data in changes:
        copy[at : at + len(data)] = data
    return bytes(copy)


def mbr(*entries: tuple[int, int, int], size: int = MIB, first: bytes = b"") -> bytes:
    """A raw disk with an MBR of these (type, first sector, sectors)."""
    table = b"".join(struct.pack("<B3sB3sII", 0, b"\0\2\0", kind, b"\xff" * 3, at, n) for kind, at, n in entries)
    return patched(bytes(size), (0, first), (446, table), (510, b"\x55\xaa"))


def gpt(size: int = MIB) -> bytes:
    """A raw disk with a protective MBR, and a GPT of one partition with its copy at the end (UEFI 2.10, 5.3)."""
    last = size // 512 - 1
    guid = bytes.fromhex("af3dc60f838472478e793d69d8477de4")  # Linux file system
    entries = (guid + b"\x11" * 16 + struct.pack("<QQQ", 64, last - 64, 0)).ljust(128 * 128, b"\0")

    def header(here: int, other: int, table: int) -> bytes:
        fields = struct.pack(
            "<8sIIIIQQQQ16sQIII",
            *(b"EFI PART", 0x10000, 92, 0, 0, here, other, 34, last - 33, b"\x22" * 16, table, 128, 128),
            zlib.crc32(entries),
        )
        return patched(fields, (16, struct.pack("<I", zlib.crc32(fields))))

    return patched(
        mbr((0xEE, 1, last), size=size),
        (512, header(1, last, 2)),
        (1024, entries),
        ((last - 32) * 512, entries),
        (last * 512, header(last, 1, last - 32)),
    )


def iso(blocks: int = 32, first: bytes = b"") -> bytes:
    """An ISO 9660 volume of `blocks` blocks of 2 KiB that begins with `first`."""
    volume = struct.pack("<I", blocks) + struct.pack(">I", blocks)
    block = struct.pack("<H", 2048) + struct.pack(">H", 2048)
    at = 16 * 2048

    def both(value: int) -> bytes:
        return struct.pack("<I", value) + struct.pack(">I", value)

    # A record of a directory: ECMA-119, 9.1; the root's are "." and "..".
    record = b"\x22\0" + both(20) + both(2048) + bytes(7) + b"\2\0\0" + b"\1\0\0\1" + b"\1\0"
    return patched(
        bytes(blocks * 2048),
        (0, first),
        (at, b"\1CD001\1"),
        (at + 80, volume),
        (at + 120, b"\1\0\0\1" * 2),
        (at + 128, block),
        (at + 156, record),
        (at + 881, b"\1"),
        (at + 2048, b"\xffCD001\1"),
        (20 * 2048, record + record[:33] + b"\1"),
    )


def luks(version: int = 1, payload_sectors: int = 8, size: int = MIB) -> bytes:
    """A LUKS header, and a payload of zeros."""
    header = struct.pack(
        ">6sH32s32s32sII20s32sI",
        b"LUKS\xba\xbe",
        version,
        b"aes",
        b"xts-plain64",
        b"sha256",
        payload_sectors,
        64,
        b"",
        b"",
        1000,
    )
    slots = [(208 + 48 * number, b"\x00\x00\xde\xad") for number in range(8)]  # all of them disabled
    return patched(bytes(size), (0, header), *slots)


def ploop(sectors: int) -> bytes:
    """The header of an expandable Parallels image of so many sectors."""
    header = struct.pack("<16sIIIIIQ", b"WithoutFreeSpace", 2, 16, sectors // 1024 + 1, 2048, 4, sectors)
    return patched(bytes(MIB), (0, header))


def vmdk_text(extent: str, create_type: str = "monolithicFlat") -> bytes:
    """A VMDK descriptor without a disk."""
    return (
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        f'createType="{create_type}"\n\n# Extent description\n{extent}\n\nddb.virtualHWVersion = "4"\n'
    ).encode()


def tar(name: str, data: bytes = b"") -> bytes:
    """A tar archive of one member."""
    import io
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()
