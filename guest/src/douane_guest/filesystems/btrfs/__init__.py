"""btrfs of one device."""

from __future__ import annotations

from douane_guest.budget import Budget
from douane_guest.errors import only_guest_errors
from douane_guest.source import Source

from .superblock import probe
from .volume import Btrfs

__all__ = ["Btrfs", "open", "probe"]


@only_guest_errors
def open(source: Source, budget: Budget) -> Btrfs:
    """See `base.Opener`."""
    return Btrfs(source, budget)
