"""The file systems: one line each."""

from __future__ import annotations

OPENERS: tuple[str, ...] = ("ext", "squashfs", "fat", "exfat", "ntfs", "btrfs", "udf", "iso9660", "erofs", "xfs")
"""Modules of this package with the functions `probe` and `open` (:class:`~.base.Opener`); asked in this order, all of
them: a disk on which two say yes is ambiguous. UDF before ISO 9660: of a disc that has both, libblkid and so mount(8)
take UDF (util-linux, superblocks.c has udf first, and ISO 9660 as "tolerant")."""
