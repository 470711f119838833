"""An image like that of a real machine: programs and libraries, some incompressible data, and holes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from .harness import MiB, progress

HOLES, RANDOM = 0.2, 0.05
"""The shares of holes and incompressible data. The rest is from /usr/lib and /usr/bin; gzip reduces all of it to about
a third."""

_PLACES = ("/usr/lib", "/usr/bin", sysconfig.get_path("stdlib"))
_BLOCK = 4096
_MAX_FILE = 64 * MiB


def disk_image(path: Path, size: int) -> Path:
    """A raw image of `size` bytes, the same at each call on a machine; made once, in the cache and on the disk."""
    if path.exists():
        return path
    progress(f"  making {path.name}, {size // MiB} MiB of programs, libraries, random bytes and holes")
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


def gzip_of(path: Path, image: Path) -> Path:
    """The image packed by gzip(1) with its defaults; made once."""
    if not path.exists():
        progress(f"  packing {path.name}")
        with path.open("wb") as output:
            subprocess.run(["gzip", "-n", "-c", str(image)], stdout=output, check=True)
            os.fsync(output.fileno())
    return path


def _contents() -> Iterator[bytes]:
    """Endless contents of files, each padded to whole blocks as in file systems."""
    while True:
        has_files = False
        for place in _PLACES:
            for directory, directories, names in os.walk(place):
                directories.sort()
                for name in sorted(names):
                    data = _read(os.path.join(directory, name))
                    has_files = has_files or bool(data)
                    yield data
        if not has_files:
            sys.exit("bench: there are no programs in /usr/lib and /usr/bin to make an image of")


def _pieces(files: Iterator[bytes]) -> Iterator[bytes]:
    """The contents of `files` in pieces of 1 MiB."""
    rest = b""
    for file in files:
        data = rest + file
        end = len(data) // MiB * MiB
        for at in range(0, end, MiB):
            yield data[at : at + MiB]
        rest = data[end:]


def _read(path: str) -> bytes:
    try:
        if os.path.islink(path) or not _BLOCK <= os.stat(path).st_size <= _MAX_FILE:
            return b""
        data = Path(path).read_bytes()
    except OSError:
        return b""  # unreadable for the user of the benchmarks
    return data + bytes(-len(data) % _BLOCK)
