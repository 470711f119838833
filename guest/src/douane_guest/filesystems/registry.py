"""The file systems: one line each."""

from __future__ import annotations

OPENERS: tuple[str, ...] = ("ext", "squashfs", "fat", "exfat", "ntfs", "btrfs", "udf", "iso9660", "erofs", "xfs")
"""Modules of this package with the functions `probe` and `open` (:class:`~.base.Opener`); asked in this order, all of
them: a disk on which two say yes is ambiguous. UDF before ISO 9660: of a disc that has both, libblkid and so mount(8)
take UDF (util-linux, superblocks.c has udf first, and ISO 9660 as "tolerant")."""

SIGNATURES: dict[str, tuple[int, tuple[bytes, ...]]] = {
    "ext": (1080, (b"\x53\xef",)),
    "squashfs": (0, (b"hsqs", b"sqsh")),
    "exfat": (3, (b"EXFAT   ",)),
    "ntfs": (3, (b"NTFS    ",)),
    "btrfs": (0x10040, (b"_BHRfS_M",)),
    "erofs": (1024, (b"\xe2\xe1\xf5\xe0",)),
    "xfs": (0, (b"XFSB",)),
}
"""The offset, and the bytes one of which a source has there if the module's `probe` says yes: a module is imported and
asked only then. The imports of all took a fifth of the time in which the packages of a disk are read."""
