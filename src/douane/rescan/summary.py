"""What a rescan reports."""

from __future__ import annotations

import msgspec

from douane.report import Outcome

REFUSED, UNDECIDED = 1, 3


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An image that would not be let in today."""

    image: str
    name: str | None
    outcome: Outcome
    plugin: str | None
    code: str | None
    message: str | None
    store: str | None = None
    """The store whose copy it is, if a transform made that."""

    deactivated: bool = False
    not_deactivated: str | None = None
    """Why it stays active, although it was to be deactivated."""


class Summary(msgspec.Struct, kw_only=True):
    """The counts, and the images that would not be let in."""

    plan_sha256: str
    images: int = 0
    """Entries: images, and copies that a transform made for a store."""

    accepted: int = 0
    refused: int = 0
    undecided: int = 0
    unchanged: int = 0
    """Judged by the verdicts on record alone."""

    from_documents: int = 0
    """Judged again without reading a byte of them."""

    read: int = 0
    bytes_read: int = 0
    deactivated: int = 0
    not_deactivated: int = 0
    """Images that stay active, although they were to be deactivated."""

    seconds: float = 0.0
    rows: list[Row] = []

    @property
    def exit_code(self) -> int:
        """1 if an image is refused, 3 if one is undecided, else 0."""
        return REFUSED if self.refused else UNDECIDED if self.undecided else 0
