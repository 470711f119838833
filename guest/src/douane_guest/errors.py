"""The three exceptions that leave this package.

::

    GuestError
    ├── Broken          the structures contradict themselves, or lie outside of the disk
    ├── Unsupported     intact, as far as can be seen, and not read: encrypted, unknown, of several devices, unclean
    └── TooMuch         a bound was reached: steps, entries, depth, or bytes
"""

from __future__ import annotations


class GuestError(Exception):
    """A part of the disk that cannot be read. `code` is one word for programs, the text is a sentence."""

    code = "guest-broken"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Broken(GuestError):
    """The structures contradict themselves, or lie outside of the disk. Never repaired, never guessed."""


class Unsupported(GuestError):
    """The part is not read by this package.

    `code` is ``guest-encrypted``, ``guest-unknown`` (also: a feature, a compression, a device that is elsewhere) or
    ``guest-unclean`` (a journal or log with changes that are not replayed here).
    """

    def __init__(self, why: str, code: str = "guest-unknown") -> None:
        super().__init__(why)
        self.code = code


class TooMuch(GuestError):
    """A bound was reached (`budget.py`): the rest of the part is unread."""

    code = "guest-too-much"
