"""Names in folders: which of them can be in a path."""

from __future__ import annotations

from .errors import Broken

_NO_NAMES = frozenset((b"", b".", b".."))


def check_name(name: bytes) -> None:
    """Raises Broken for a name that cannot be in a path."""
    if name in _NO_NAMES or b"/" in name or b"\0" in name:
        raise Broken(f"a name in a folder is {name!r}")


def are_sound(names: list[bytes]) -> bool:
    """True if `check_name` takes all of them: what it looks for is sought in all names at once."""
    text = b"/".join(names)
    return text.count(b"/") == max(len(names) - 1, 0) and b"\0" not in text and _NO_NAMES.isdisjoint(names)
