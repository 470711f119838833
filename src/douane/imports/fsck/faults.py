"""What a check of the stores finds, as data."""

from __future__ import annotations

from typing import Literal

import msgspec

Repair = Literal["delete-staged", "delete-copy", "forget-copy"]
"""What ``--repair`` does: delete staged bytes, delete a copy of a deleted image, forget a copy that is not there."""

MAX_FAULTS = 10_000
"""Faults that are listed; more are counted."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as the catalog says."""

    code: str
    """docs/exit-codes.md explains each."""

    store: str | None = None
    """The id of the store."""

    image: str | None = None
    """The id of the image."""

    key: str | None = None
    """The key of staged bytes."""

    task: str | None = None
    """The id of an import task."""

    message: str
    """What was seen: a sentence."""

    remedy: str
    """What to do: a sentence."""

    repair: Repair | None = None
    """What ``--repair`` does about it; None: nothing."""

    repaired: bool = False


class StoreSummary(msgspec.Struct, kw_only=True):
    """What was looked at in one store."""

    id: str
    images: int = 0
    """Images that lie in the store."""

    staged: int = 0
    """Staged bytes that lie in the store, by their keys."""

    copies: int = 0
    """Copies that the catalog records, and that were looked at."""

    intact: int = 0
    """Those without a fault."""

    digests: int = 0
    """Those whose digest was compared."""

    bytes_read: int = 0
    is_checked: bool = True
    """False: the store, or a part of it, could not be looked at."""


class Result(msgspec.Struct, kw_only=True):
    """The result of a check."""

    stores: list[StoreSummary]
    faults: list[Fault] = []
    unlisted: int = 0
    """Faults beyond `MAX_FAULTS`."""

    is_complete: bool = True
    """False: a store, or a part of it, could not be looked at."""

    def add(self, fault: Fault) -> None:
        """Note a fault, or count it if the list is full."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        else:
            self.unlisted += 1

    @property
    def open_faults(self) -> int:
        """Faults that were not repaired."""
        return self.unlisted + sum(not fault.repaired for fault in self.faults)
