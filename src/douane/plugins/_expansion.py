"""The bound on how many times more may come out of a transform than went in."""

from __future__ import annotations

from douane_plugin import Reject
from douane_plugin._units import show_exact_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image

    Part = bytes | memoryview

FREE_BYTES = 1 << 30
"""Output below this is not bounded: it harms nobody, and many honest images are nearly empty."""

DEFAULT_MAX = 500
"""Times. Deflate packs zeros 1,030 times, the others far better: an image of zeros exceeds it, and an image of which
less than half is zeros cannot in gzip. A system of 300 MiB on a disk of 128 GiB stays below in any compression."""


def check_bounds(max_members: int, max_expansion: int) -> None:
    """Check two settings of a plugin that unpacks. Raises ValueError."""
    if max_members < 1:
        raise ValueError(f"'max_members' is a number of members, 1 or more, not {max_members}")
    if max_expansion < 1:
        raise ValueError(f"'max_expansion' is a ratio, 1 or more, not {max_expansion}")


def bounded(parts: Iterator[Part], image: Image, max_expansion: int) -> Iterator[Part]:
    """Yield `parts` while they are less than :data:`FREE_BYTES` or `max_expansion` times the image. Raises Reject.

    The engine's ``max_ratio`` does not count zeros, as they take no room. They take time all the same, here and of
    every later reader.
    """
    total = 0
    for part in parts:
        total += len(part)
        if total > FREE_BYTES and total > max_expansion * (arrived := max(image.size or 0, image.offset)):
            raise Reject(
                "compressed-bomb",
                f"more than {show_exact_size(total)} come out of {show_exact_size(arrived)} of the image, more than "
                f"{max_expansion} times as much; if the disk is nearly empty and this is no bomb, upload it as qcow2",
            )
        yield part
        del part  # a view of the image must be released before the next is asked for
