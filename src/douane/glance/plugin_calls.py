"""For which images Glance has called the import plugin in this process. Only the standard library is imported here."""

from __future__ import annotations

import threading

_MOST = 4096
_lock = threading.Lock()
_last = 0
_calls: dict[str, int] = {}
"""The number of the last call for an image, the oldest first; so many are kept."""


def mark(image: str) -> None:
    """The plugin is called for `image`."""
    global _last  # noqa: PLW0603  # it counts what happens in the process
    with _lock:
        _last += 1
        _calls.pop(image, None)
        _calls[image] = _last
        while len(_calls) > _MOST:
            del _calls[next(iter(_calls))]


def number() -> int:
    """Of the last call there was: to be given to :func:`since`."""
    return _last


def since(number: int, image: str) -> bool:
    """True if it was called for `image` after call `number`."""
    with _lock:
        return _calls.get(image, 0) > number
