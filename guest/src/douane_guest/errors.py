"""The three exceptions that leave this package.

::

    GuestError
    ├── Broken          the structures contradict themselves, or lie outside of the disk
    ├── Unsupported     intact, as far as can be seen, and not read: encrypted, unknown, of several devices, unclean
    └── TooMuch         a bound was reached: steps, entries, depth, or bytes
"""

from __future__ import annotations

import functools
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

Args = ParamSpec("Args")
Result = TypeVar("Result")


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


DAMAGE = (
    *(struct.error, zlib.error, lzma.LZMAError, EOFError),
    *(IndexError, KeyError, ValueError, OverflowError, ZeroDivisionError, RecursionError),
)
"""What Python and its decompressors raise for bytes that are not what they should be. MemoryError is not among them:
sizes are checked before (`budget.check_size`)."""

_GENERATOR = 0x20
"""`inspect.CO_GENERATOR`. The import of `inspect` would take a fifth of the time in which the packages of a disk are
read."""


def only_guest_errors(function: Callable[Args, Result]) -> Callable[Args, Result]:
    """For each function, method and generator function that callers of this package use: `DAMAGE` leaves as Broken.

    It is the last net. A reader checks offsets, counts and lengths before it uses them.
    """
    if function.__code__.co_flags & _GENERATOR:
        generator = cast("Callable[Args, Iterator[Any]]", function)

        @functools.wraps(function)
        def generate(*args: Args.args, **kwargs: Args.kwargs) -> Any:
            try:
                yield from generator(*args, **kwargs)
            except DAMAGE as error:
                raise Broken(sentence_of(error)) from error

        return cast("Callable[Args, Result]", generate)

    @functools.wraps(function)
    def call(*args: Args.args, **kwargs: Args.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except DAMAGE as error:
            raise Broken(sentence_of(error)) from error

    return call


def sentence_of(error: BaseException) -> str:
    """Why a structure was refused by Python itself."""
    return f"a structure contradicts itself: {type(error).__name__}: {error}"
