"""XFS of version 4 and 5, with its log.

Not read: the realtime section and a log on another device (told in `unread`); metadir and zoned file systems
(Unsupported).
Checked are the checksums of the superblock and of the records of the log, not those of other blocks: an intruder can
compute them as well, and a block that only the kernel refuses shows more here, not less.
"""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .filesystem import Xfs
from .superblock import MAGIC


@only_guest_errors
def probe(source: Source) -> bool:
    """True for a volume that begins with the superblock of XFS."""
    return source.size >= 512 and source.pread(0, 4) == MAGIC


@only_guest_errors
def open(source: Source, budget: Budget) -> Xfs:
    """Open it. An unclean log is replayed in memory."""
    return Xfs(source, budget)
