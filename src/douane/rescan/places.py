"""Where images are stored: what a rescan needs of a catalog with its stores, or of a Glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from douane.catalog.states import READABLE
from douane.declared import DeclaredImage
from douane.errors import PlanError
from douane.stream.source import Source

from .fingerprints import digest_of
from .state import Judged


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Stored bytes that one plan judges: an image, or a copy of it that a transform made for a store."""

    image: str
    name: str | None
    size: int
    content: str
    """A digest of the bytes, with its algorithm."""

    digests: dict[str, str]
    declared: DeclaredImage
    stores: tuple[str, ...] = ()
    variant_of: str | None = None
    """The id of the store that the copy was made for; None: the image's own bytes."""

    @property
    def key(self) -> str:
        """The key of its verdicts."""
        return self.image if self.variant_of is None else f"{self.image}@{self.variant_of}"

    @property
    def declared_digest(self) -> str:
        """The digest of what inspectors are told of it; nobody knows later which roles its sender had."""
        return digest_of(self.declared.replace(roles=()).to_json())


def require_bytes(image: str, status: object) -> None:
    """Raise PlanError for an image that somebody has named, and that has no bytes to judge."""
    if status not in READABLE:
        raise PlanError(f"the image {image} is {status}: there are no bytes to judge")


class NotDeactivated(Exception):
    """The place does not let this image be deactivated; the others are judged all the same."""


class Place(Protocol):
    """See the module."""

    name: str
    """In the state."""

    def pages(self) -> Iterator[list[Entry]]:
        """All active images, some at a time; or those that somebody has named, also if they are deactivated. Raises
        PlanError for one without bytes."""

    def recorded(self, entry: Entry) -> Judged | None:
        """The verdicts of its import, where the place keeps them."""

    def open(self, entry: Entry) -> Source:
        """Its bytes. Raises DouaneError."""

    def has(self, entry: Entry) -> bool:
        """False if the image was deleted meanwhile. Raises DouaneError."""

    def deactivate(self, entry: Entry) -> bool:
        """Deactivate the image; False if it is not active any more. Raises NotDeactivated, DouaneError."""
