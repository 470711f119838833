"""`python tests/fuzz/make_corpus.py`: write the seeds of fuzzing to tests/fuzz/seeds.

Tools make the seeds (qemu-img, zstd, lz4); seeds of other formats are built from their specifications. No seed contains
parts of real images.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import fuzz_paths  # noqa: F401  # for its effect, before the imports that need it

import corpus_archives  # isort: skip
import corpus_by_hand  # isort: skip
import corpus_by_tools  # isort: skip
import corpus_optical  # isort: skip

TO = Path(__file__).with_name("seeds")
MOST_BYTES = 1 << 20


def main() -> int:
    """Write all seeds; exit code 1 if they are too large."""
    TO.mkdir(exist_ok=True)
    for old in TO.glob("*.xz"):
        old.unlink()
    seeds = corpus_by_hand.images() | corpus_optical.images()
    tools = corpus_by_tools.images()
    seeds |= tools | corpus_archives.images(tools)
    for name, data in sorted(seeds.items()):
        (TO / f"{name}.xz").write_bytes(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    total = sum(path.stat().st_size for path in TO.glob("*.xz"))
    print(f"{len(seeds)} seeds, {sum(map(len, seeds.values())) >> 10} KiB, packed {total >> 10} KiB")
    return 0 if total < MOST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
