"""What a plugin is lent: views of memory that are taken back, and mappings that it cannot change."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

read_only: Any = type(vars(type))  # types.MappingProxyType, without the import


def release(view: memoryview) -> None:
    """Take a view back, unless an array exports it: then Chunks counts the reference."""
    try:
        view.release()
    except BufferError:
        pass  # contextlib.suppress would cost start-up time
