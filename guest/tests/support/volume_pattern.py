"""Volumes whose every sector holds its own number; and the stored images of members."""

from __future__ import annotations

import lzma
import struct
import sys
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from douane_guest.source import BytesSource, Source, Window

DATA = Path(__file__).parents[1] / "data"


@lru_cache(maxsize=64)
def pattern(start: int, size: int) -> bytes:
    """`size` bytes of the volume from `start` on; both are multiples of 512."""
    return b"".join(
        struct.pack("<QQ", 0x5EC7, number) + bytes(496) for number in range(start // 512, (start + size) // 512)
    )


class Members(NamedTuple):
    """An image of several members, one behind the other."""

    size: int
    """Of the array."""

    data: bytes
    windows: list[Window]


@lru_cache(maxsize=2)
def members_of(name: str) -> Members:
    """A stored image."""
    content = lzma.decompress((DATA / f"{name}.xz").read_bytes())
    size, *sizes = map(int, content[:512].split())
    data = content[512:]
    source = BytesSource(data)
    return Members(size, data, [Window(source, sum(sizes[:index]), length) for index, length in enumerate(sizes)])


class Patched:
    """A source with other bytes in some places, without a copy of the rest."""

    def __init__(self, source: Source, patches: dict[int, bytes]) -> None:
        self._source = source
        self._patches = patches
        self.size = source.size

    def pread(self, offset: int, count: int) -> bytes:
        data = self._source.pread(offset, count)
        for start, patch in self._patches.items():
            if start < offset + count and offset < start + len(patch):
                area = bytearray(data)
                first, last = max(start, offset), min(start + len(patch), offset + count)
                area[first - offset : last - offset] = patch[first - start : last - start]
                data = bytes(area)
        return data


def store(name: str, files: list[Path], size: int) -> int:
    """Pack what `make_volume_images.sh` made; the bytes that it takes."""
    head = " ".join(str(number) for number in [size, *(file.stat().st_size for file in files)])
    packed = lzma.compress(head.encode().ljust(512) + b"".join(file.read_bytes() for file in files), preset=6)
    (DATA / f"{name}.xz").write_bytes(packed)
    return len(packed)


def store_all(folder: Path) -> None:
    """Pack a folder of members: ``NAME.0``, ``NAME.1``, ..., and ``NAME.size`` of arrays."""
    names = sorted(file.name.rpartition(".")[0] for file in folder.glob("*.0"))
    for name in names:
        files = [folder / f"{name}.{number}" for number in range(len(list(folder.glob(f"{name}.[0-9]"))))]
        size = folder / f"{name}.size"
        print(name, store(name, files, int(size.read_text()) if size.exists() else 0))


if __name__ == "__main__":
    store_all(Path(sys.argv[1]))
