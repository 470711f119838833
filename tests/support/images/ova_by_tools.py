"""Appliances as tools of other people pack them."""

from __future__ import annotations

import struct

from .ova import disk, file, ovf
from .tar import END, tar, tar_member

BLOCK = 4096


def apple_double(attribute: bytes = b"com.apple.provenance\0") -> bytes:
    """A file of attributes by macOS: its header, an entry of Finder's information, and attributes in it."""
    entries = struct.pack(">H6I", 2, 9, 50, 113, 2, 163, 0)
    header = struct.pack(">II16s", 0x00051607, 0x00020000, b"Mac OS X        ") + entries
    return (header + bytes(32) + b"\0\0ATTR" + bytes(20) + attribute).ljust(163, b"\0")


def ova_of_macos(*members: tuple[str, bytes]) -> bytes:
    """Members as bsdtar of macOS packs them: before each, a file of its attributes."""
    pairs = []
    for name, data in members:
        folder, slash, base = name.rpartition("/")
        pairs += [(f"{folder}{slash}._{base}", apple_double()), (name, data)]
    return tar(*pairs)


def ova_of_ovirt(*disks: bytes) -> bytes:
    """An appliance as pack_ova.py of ovirt-engine packs it: a member `pad` aligns the data of each disk to 4 KiB."""
    ids = [f"8b2c1c1e-0000-4000-8000-{number:012}" for number in range(len(disks))]
    files = "".join(
        file(id, f"file{number}", size=len(data)) for number, (id, data) in enumerate(zip(ids, disks, strict=True))
    )
    described = "".join(disk(f"disk{number}", f"file{number}") for number in range(len(disks)))
    image = tar_member(b"vm.ovf", ovf(files, described))
    for id, data in zip(ids, disks, strict=True):
        image += tar_member(b"pad", bytes(-(len(image) + 1024) % BLOCK))
        assert (len(image) + 512) % BLOCK == 0
        image += tar_member(id.encode(), data)
    return image + END
