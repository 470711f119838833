"""The parts of an image that could not be read, as plugins that show a guest attach them."""

from __future__ import annotations

import msgspec

from douane.errors import SandboxError
from douane.report import Verdict


class Unread(msgspec.Struct, frozen=True):
    """A part of the image that could not be read."""

    place: str
    code: str
    why: str


class UnreadParts(msgspec.Struct, frozen=True):
    """The parts that could not be read: how many, and the first of them."""

    count: int
    parts: list[Unread]


def unread_parts(verdict: Verdict) -> UnreadParts:
    """The parts that could not be read. Raises SandboxError if the plugin's document is no such list."""
    try:
        return msgspec.convert(verdict.documents.get("unread"), UnreadParts)
    except msgspec.ValidationError as error:
        raise SandboxError(f"the plugin attached an invalid document: {error}") from error
