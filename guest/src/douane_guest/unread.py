"""The list of what could not be read. Nothing unread is clean: a caller that does not look here knows nothing."""

from __future__ import annotations

from collections.abc import Iterator

from .errors import GuestError, TooMuch
from .filesystems.base import Unread

MAX_PARTS = 1000
"""Parts that are listed one by one. A damaged folder of a million entries is one more line, not a million."""


class UnreadParts:
    """Grows while a guest is read. Each place and code is listed once."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], Unread] = {}
        self._overflow: Unread | None = None

    def add(self, where: str, code: str, why: str) -> None:
        """List a part."""
        if (where, code) in self._parts:
            return
        if len(self._parts) >= MAX_PARTS:
            why = f"more than {MAX_PARTS} parts could not be read; the rest of them is not listed"
            self._overflow = Unread("", TooMuch.code, why)
            return
        self._parts[where, code] = Unread(where, code, why)

    def add_error(self, where: str, error: GuestError) -> None:
        """List a part at which a reader stopped."""
        self.add(where, error.code, error.why)

    def __iter__(self) -> Iterator[Unread]:
        yield from self._parts.values()
        if self._overflow is not None:
            yield self._overflow

    def __len__(self) -> int:
        return len(self._parts) + (self._overflow is not None)

    def __repr__(self) -> str:
        return repr(list(self))
