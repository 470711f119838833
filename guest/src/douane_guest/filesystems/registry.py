"""The file systems: one line each."""

from __future__ import annotations

OPENERS: tuple[str, ...] = ("ext", "squashfs", "fat", "exfat", "ntfs", "btrfs", "iso9660", "erofs", "xfs", "udf")
"""Modules of this package with the functions `probe` and `open` (:class:`~.base.Opener`); asked in this order, all of
them: a disk on which two say yes is ambiguous."""
