"""Images in memory, as a plugin is handed them, for the tests of the built-in inspectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from douane_plugin import Image, Incomplete, Reject

CHUNK_BYTES = 1 << 20


class MemorySource:
    """Hands out `chunks` one by one, as the engine does, and remembers how many bytes it has handed out."""

    goes_on = False

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self.ended = False
        self.given = 0

    def take(self) -> memoryview | None:
        for chunk in self._chunks:
            if chunk:
                self.given += len(chunk)
                return memoryview(chunk)
        self.ended = True
        return None


def cut(data: bytes, at: Iterable[int] = ()) -> list[bytes]:
    """`data` in pieces that end at the offsets `at`."""
    places = [0, *sorted({place for place in at if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def as_image(chunks: bytes | Iterable[bytes], **facts: Any) -> tuple[Image, MemorySource]:
    """An image of these bytes as a plugin sees it, and where it comes from."""
    if isinstance(chunks, bytes):
        chunks = cut(chunks, range(0, len(chunks), CHUNK_BYTES))
    source = MemorySource(chunks)
    return Image(facts, source), source


def answer(plugin: Any, chunks: bytes | Iterable[bytes], **facts: Any) -> tuple[str, Any]:
    """What `plugin` says: ("accept", properties), ("reject", code) or ("incomplete", code)."""
    image, _ = as_image(chunks, **facts)
    try:
        return "accept", plugin.inspect(image)
    except Reject as refusal:
        assert refusal.message.strip()
        return "reject", refusal.code
    except Incomplete as refusal:
        assert refusal.message.strip()
        return "incomplete", refusal.code
