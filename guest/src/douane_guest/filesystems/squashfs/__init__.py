"""squashfs 4.0, little-endian: gzip, xz, lzo, lz4, zstd. Versions 1 to 3 and the old lzma are told as unsupported.

The structures are those of fs/squashfs/squashfs_fs.h and Documentation/filesystems/squashfs.rst of Linux.
"""

from .system import Squashfs, open, probe

__all__ = ["Squashfs", "open", "probe"]
