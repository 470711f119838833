"""How much more may come out than went in."""

from __future__ import annotations

from douane_plugin import Reject
from douane_plugin._units import show_exact_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from douane_plugin import Image

    Part = bytes | memoryview

FLOOR_BYTES = 1 << 30
"""Below this nobody is harmed, and much that is honest is nearly empty."""

USUAL = 500
"""Times. Deflate packs zeros 1,030 times, the others far better: what is all zeros goes over it, and what is less than
half zeros in gzip cannot. A system of 300 MiB on a disk of 128 GiB stays below, whatever packs it."""


def bounded(parts: Iterator[Part], image: Image, most: int) -> Iterator[Part]:
    """`parts`, as long as they are less than :data:`FLOOR_BYTES` or `most` times the image. Raises Reject.

    The engine's ``max_ratio`` does not count what is zero, as it takes no room; it takes time all the same, here and
    of whoever reads the image later.
    """
    total = 0
    for part in parts:
        total += len(part)
        if total > FLOOR_BYTES and total > most * (arrived := max(image.size or 0, image.offset)):
            raise Reject(
                "compressed-bomb",
                f"more than {show_exact_size(total)} come out of {show_exact_size(arrived)} of the image, more "
                f"than {most} times as much; if that is no bomb but a disk that is nearly empty, upload it as qcow2",
            )
        yield part
        del part  # a view of the image must be let go before the next is asked for
