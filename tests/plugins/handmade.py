"""Images written by hand, header by header: those that no well-meaning tool makes, or none that is at hand."""

from __future__ import annotations

import struct

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
    """A raw disk with a protective MBR and the signature of a GPT."""
    return patched(mbr((0xEE, 1, size // 512 - 1), size=size), (512, b"EFI PART"))


def iso(blocks: int = 32, first: bytes = b"") -> bytes:
    """An ISO 9660 volume of `blocks` blocks of 2 KiB that begins with `first`."""
    volume = struct.pack("<I", blocks) + struct.pack(">I", blocks)
    block = struct.pack("<H", 2048) + struct.pack(">H", 2048)
    at = 16 * 2048
    return patched(bytes(blocks * 2048), (0, first), (at, b"\1CD001\1"), (at + 80, volume), (at + 128, block))


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
    return patched(bytes(size), (0, header))


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
