"""btrfs of one device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .superblock import probe

if TYPE_CHECKING:
    from .volume import Btrfs

__all__ = ["open", "probe"]


@only_guest_errors
def open(source: Source, budget: Budget) -> Btrfs:
    """See :class:`~douane_guest.filesystems.base.Opener`."""
    from .volume import Btrfs

    return Btrfs(source, budget)
