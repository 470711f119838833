"""erofs: plain, inline, chunked and compressed files (lz4, MicroLZMA, deflate, zstd), attributes.

The structures are those of fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst of Linux.
"""

from .system import Erofs, open, probe

__all__ = ["Erofs", "open", "probe"]
