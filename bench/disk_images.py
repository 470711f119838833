"""An image such as a machine has: programs and libraries, some of what nothing compresses, and holes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from .harness import MiB, tell

HOLES, RANDOM = 0.2, 0.05
"""Parts of an image that are holes, and that nothing compresses. The rest is what /usr/lib and /usr/bin hold: gzip
makes about a third of all of it."""

_PLACES = ("/usr/lib", "/usr/bin", sysconfig.get_path("stdlib"))
_BLOCK = 4096
_MOST_FILE = 64 * MiB


def disk_image(path: Path, size: int) -> Path:
    """A raw image of `size` bytes, the same at each call on one machine; made once, in the cache and on the disk."""
    if path.exists():
        return path
    tell(f"  making {path.name}, {size // MiB} MiB of programs, libraries, random bytes and holes")
    chance = random.Random(4)
    contents = _pieces(_contents())
    with path.open("wb") as image:
        for _ in range(0, size, MiB):
            kind = chance.random()
            if kind < HOLES:
                image.seek(MiB, os.SEEK_CUR)
            elif kind < HOLES + RANDOM:
                image.write(chance.randbytes(MiB))
            else:
                image.write(next(contents))
        image.truncate(size)
        image.flush()
        os.fsync(image.fileno())
    return path


def packed(path: Path, image: Path) -> Path:
    """The image as gzip(1) packs it by default; made once."""
    if not path.exists():
        tell(f"  packing {path.name}")
        with path.open("wb") as output:
            subprocess.run(["gzip", "-n", "-c", str(image)], stdout=output, check=True)
            os.fsync(output.fileno())
    return path


def _contents() -> Iterator[bytes]:
    """Files one after the other, each from a block's beginning, as file systems keep them. Without an end."""
    while True:
        found = False
        for place in _PLACES:
            for directory, directories, names in os.walk(place):
                directories.sort()
                for name in sorted(names):
                    data = _read(os.path.join(directory, name))
                    found = found or bool(data)
                    yield data
        if not found:
            sys.exit("bench: there are no programs in /usr/lib and /usr/bin to make an image of")


def _pieces(files: Iterator[bytes]) -> Iterator[bytes]:
    """The same in pieces of 1 MiB."""
    left = b""
    for file in files:
        data = left + file
        whole = len(data) // MiB * MiB
        for at in range(0, whole, MiB):
            yield data[at : at + MiB]
        left = data[whole:]


def _read(path: str) -> bytes:
    try:
        if os.path.islink(path) or not _BLOCK <= os.stat(path).st_size <= _MOST_FILE:
            return b""
        data = Path(path).read_bytes()
    except OSError:
        return b""  # it cannot be read by who runs the benchmarks
    return data + bytes(-len(data) % _BLOCK)
