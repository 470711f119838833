"""XFS of version 4 and 5, with its log.

Not read: the realtime section and a log on another device (told in `unread`); metadir and zoned file systems
(Unsupported).
Checked are the checksums of the superblock and of the records of the log, not those of other blocks: an intruder can
compute them as well, and a block that only the kernel refuses shows more here, not less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .superblock import MAGIC

if TYPE_CHECKING:
    from .filesystem import Xfs


@only_guest_errors
def probe(source: Source) -> bool:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    return source.size >= 512 and source.pread(0, 4) == MAGIC


@only_guest_errors
def open(source: Source, budget: Budget) -> Xfs:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .filesystem import Xfs

    return Xfs(source, budget)
