"""Images that mutants are made of, and images in memory that can be changed without a copy of the rest."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sparse_images import BLOCK, load

from douane_guest.source import Source, check_range

TESTS = Path(__file__).parents[1]
_ZEROS = bytes(BLOCK)


class Image:
    """A disk in memory whose changes are blocks of their own."""

    def __init__(self, size: int, blocks: dict[int, bytes]) -> None:
        self.size = size
        self.blocks = blocks
        self.changed: dict[int, bytearray] = {}

    def copy(self) -> Image:
        """The same disk without the changes."""
        return Image(self.size, self.blocks)

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        blocks, changed = self.blocks, self.changed
        first, last = offset // BLOCK, -(-(offset + count) // BLOCK)
        parts = [changed.get(number) or blocks.get(number, _ZEROS) for number in range(first, last)]
        return b"".join(parts)[offset - first * BLOCK :][:count]

    def pwrite(self, offset: int, data: bytes) -> None:
        """Change bytes; what lies beyond the end is dropped."""
        data = data[: max(0, self.size - offset)]
        while data:
            number, start = divmod(offset, BLOCK)
            block = self.changed.get(number)
            if block is None:
                block = self.changed[number] = bytearray(self.blocks.get(number, _ZEROS))
            part = data[: BLOCK - start]
            block[start : start + len(part)] = part
            offset, data = offset + len(part), data[len(part) :]

    def bytes(self) -> bytes:
        """The whole disk."""
        return self.pread(0, self.size)


class Recorded:
    """A source that keeps the ranges that are read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.size = source.size
        self.ranges: set[tuple[int, int]] = set()

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        data = self._source.pread(offset, count)
        if count:
            self.ranges.add((offset, count))
        return data


def image_of(data: bytes) -> Image:
    """A disk with these bytes."""
    blocks = {
        start // BLOCK: data[start : start + BLOCK].ljust(BLOCK, b"\0")
        for start in range(0, len(data), BLOCK)
        if data.count(0, start, start + BLOCK) != min(BLOCK, len(data) - start)
    }
    return Image(len(data), blocks)


def makers() -> dict[str, Callable[[], Image]]:
    """How all seeds are made, by name: those of fuzz/seeds, and those that other tests store."""
    seeds: dict[str, Callable[[], Image]] = {}
    for path in sorted((TESTS / "fuzz/seeds").iterdir()):
        seeds[path.name] = partial(_sparse, path)
    for kind in ("btrfs", "xfs"):
        for path in sorted((TESTS / "data" / kind).glob("*.image")):
            seeds[f"{kind}-{path.stem}"] = partial(_sparse, path)
    for path in sorted((TESTS / "data").glob("**/*.img.xz")):
        name = path.name.removesuffix(".img.xz")
        seeds[f"erofs-{name}" if path.parent.name == "erofs" else name] = partial(_whole, path)
    for path in sorted((TESTS / "data").glob("*.xz")):
        if path.name.startswith(("lvm", "md-")):
            seeds[path.name.removesuffix(".xz")] = partial(_of_members, path)
    return seeds


def _sparse(path: Path) -> Image:
    source = load(path)
    return Image(source.size, source.blocks)


def _whole(path: Path) -> Image:
    return image_of(lzma.decompress(path.read_bytes()))


def _of_members(path: Path) -> Image:
    return image_of(_on_one_disk(lzma.decompress(path.read_bytes())))


def _on_one_disk(content: bytes) -> bytes:
    """Members of an array or a group (`volume_pattern.py`) as the partitions of a disk; logical ones beyond four."""
    _, *sizes = map(int, content[:512].split())
    spans, place = [], 2048
    for size in sizes:
        spans.append((place + 1, size // 512))
        place += 1 + size // 512
    disk = bytearray(512 * place)
    at = 512
    for start, count in spans:
        disk[start * 512 : (start + count) * 512] = content[at : at + count * 512]
        at += count * 512
    _put_entries(disk, 0, [(0x83, *span) for span in spans[:3]], [(0x05, spans[3][0] - 1, place)] if spans[3:] else [])
    for number, (start, count) in enumerate(spans[3:], 3):
        follower = [(0x05, spans[number + 1][0] - spans[3][0], place)] if number + 1 < len(spans) else []
        _put_entries(disk, start - 1, [(0x83, 1, count)], follower)
    return bytes(disk)


def _put_entries(disk: bytearray, sector: int, *groups: list[tuple[int, int, int]]) -> None:
    for number, (kind, start, count) in enumerate([entry for group in groups for entry in group]):
        entry = bytes((0, 0, 0, 0, kind, 0, 0, 0)) + start.to_bytes(4, "little") + count.to_bytes(4, "little")
        at = sector * 512 + 446 + 16 * number
        disk[at : at + 16] = entry
    disk[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"
