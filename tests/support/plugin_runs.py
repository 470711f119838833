"""Run a plugin in this process on bytes in memory: no sandbox, no engine."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from douane.plugins.decompress import Decompress
from douane.plugins.ova import Ova, OvaAnyOrder
from douane_plugin import Image, Incomplete, Reject

CHUNK_BYTES = 1 << 20
MAX_UNREAD = 4 << 20
"""Bytes within which a transform has to decide that the image stays as it is."""


class ChunkSource:
    """Lends chunks as the engine does: the memory of all but the last two is taken back."""

    goes_on = False

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._lent: list[bytearray] = []
        self.ended = False
        self.given_bytes = 0

    def take(self) -> memoryview | None:
        """The next chunk, or None at the end; BufferError if the plugin still has a view of an old one."""
        if len(self._lent) > 1 or self.ended:
            for memory in self._lent[: None if self.ended else -1]:
                memory.clear()
            del self._lent[: None if self.ended else -1]
        for chunk in self._chunks:
            if chunk:
                self._lent.append(bytearray(chunk))
                self.given_bytes += len(chunk)
                return memoryview(self._lent[-1])
        self.ended = True
        return None


def cut(data: bytes, at: Iterable[int] = ()) -> list[bytes]:
    """`data` in pieces that end at the offsets `at`."""
    places = [0, *sorted({place for place in at if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def as_image(chunks: bytes | Iterable[bytes], **facts: Any) -> tuple[Image, ChunkSource]:
    """An image of these bytes as a plugin sees it, and its source."""
    if isinstance(chunks, bytes):
        chunks = cut(chunks, range(0, len(chunks), CHUNK_BYTES))
    source = ChunkSource(chunks)
    return Image(facts, source), source


def answer(plugin: Any, chunks: bytes | Iterable[bytes], **facts: Any) -> tuple[str, Any]:
    """The answer of an inspector: ("accept", properties), ("reject", code) or ("incomplete", code)."""
    image, _ = as_image(chunks, **facts)
    try:
        return "accept", plugin.inspect(image)
    except Reject as refusal:
        assert refusal.message.strip()
        return "reject", refusal.code
    except Incomplete as refusal:
        assert refusal.message.strip()
        return "incomplete", refusal.code


class TransformReport:
    """What a transform states of its output by way of the image: `formats` as (disk format, container format)."""

    def __init__(self) -> None:
        self.formats: list[tuple[str | None, str | None]] = []
        self.properties: dict[str, Any] = {}
        self.is_unchanged = False

    def becomes(self, disk_format: str | None, container_format: str | None, properties: dict[str, Any] | None) -> None:
        """Called by `image.becomes`."""
        self.formats.append((disk_format, container_format))
        self.properties.update(properties or {})

    def unchanged(self, offset: int) -> None:
        """Called by `image.unchanged`."""
        assert offset < MAX_UNREAD
        self.is_unchanged = True


class Transformed(TransformReport):
    """What a transform made of an image: `data`, or the `code` and `message` of a refusal.

    `warnings` are codes, `longest` is the length of the largest piece that the transform yielded.
    """

    def __init__(
        self, plugin: Any, chunks: bytes | Iterable[bytes], facts: dict[str, Any] | None = None, *, random: bool = False
    ) -> None:
        super().__init__()
        pieces = [chunks] if isinstance(chunks, bytes) else list(chunks) if random else chunks
        self.source = ChunkSource(pieces)
        self.code: str | None = None
        self.message = ""
        self.warnings: list[str] = []
        self.proposed: dict[str, Any] = {}
        self.longest = 0
        plugin.warn = lambda code, message: self.warnings.append(code)
        plugin.propose = self.proposed.__setitem__
        at_random: dict[str, Any] = {"reads": "random", "file": io.BytesIO(b"".join(pieces))} if random else {}
        parts = []
        try:
            for part in plugin.transform(Image(facts or {}, self.source, transforms=self, **at_random)):
                self.longest = max(self.longest, len(part))
                parts.append(bytes(part))
        except Reject as refusal:
            self.code, self.message = refusal.code, refusal.message
        assert (self.code is None) == (self.message == "")
        self.data = b"".join(parts)


def decompressed(chunks: bytes | Iterable[bytes], facts: dict[str, Any] | None = None, **config: Any) -> Transformed:
    """What `decompress` makes of an image."""
    return Transformed(Decompress(**config), chunks, facts)


def decompress_code(chunks: bytes | Iterable[bytes], **config: Any) -> str | None:
    """The code with which `decompress` refuses, or None."""
    return decompressed(chunks, **config).code


def extracted(
    chunks: bytes | Iterable[bytes],
    facts: dict[str, Any] | None = None,
    any_order: bool = False,
    trust: bytes | None = None,
    **config: Any,
) -> Transformed:
    """What `ova` makes of an appliance, or `ova-any-order`; `trust` is the content of the grant of that name."""

    class Granted(OvaAnyOrder if any_order else Ova):  # type: ignore[misc]  # the base is chosen at run time
        def grant(self, name: str) -> Any:
            if trust is None or name != "trust":
                raise LookupError(name)
            return io.BytesIO(trust)

    return Transformed(Granted(**config), chunks, facts, random=any_order)


def ova_code(chunks: bytes | Iterable[bytes], **config: Any) -> str | None:
    """The code with which `ova` refuses, or None."""
    return extracted(chunks, **config).code
