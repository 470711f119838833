"""The seeds of fuzzing: small images of every format, in tests/fuzz/seeds, as `make fuzz-corpus` made them.

They are packed with xz, as the first megabytes of some formats are mostly zeros.
"""

from __future__ import annotations

import lzma
from pathlib import Path

CORPUS = Path(__file__).parents[2] / "fuzz" / "seeds"
MOST_UNPACKED = 64 << 20


def seeds() -> dict[str, bytes]:
    """All seeds by name, unpacked."""
    images: dict[str, bytes] = {}
    for path in sorted(CORPUS.glob("*.xz")):
        unpacker = lzma.LZMADecompressor(memlimit=256 << 20)
        images[path.name.removesuffix(".xz")] = unpacker.decompress(path.read_bytes(), MOST_UNPACKED)
    return images
