"""ext2, ext3 and ext4, with replay of the journal in memory.

Sources of the structures: the kernel's Documentation/filesystems/ext4, and what mke2fs 1.47 and Linux 6 write and
refuse.
"""

from __future__ import annotations

from .opening import open_ext as open
from .opening import probe
from .system import ExtSystem

__all__ = ["ExtSystem", "open", "probe"]
