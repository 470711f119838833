"""Small images of features that the erofs-utils of a distribution may not have.

``python guest/tests/support/make_erofs_images.py MKFS`` makes them again with a mkfs.erofs of 1.8 or later that was
built with lzma, deflate and zstd. The tree in them is made again by each test, and is the truth.
"""

from __future__ import annotations

import lzma
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).parent.parent / "data" / "erofs"
MTIME = 1_700_000_000
IMAGES = {
    "lzma": ["-zlzma"],
    "lzma-fragments": ["-zlzma", "-C65536", "-Efragments"],
    "deflate": ["-zdeflate", "-C16384"],
    "deflate-tails": ["-zdeflate", "-Eztailpacking"],
    "zstd": ["-zzstd", "-C16384"],
    "zstd-packed": ["-zzstd", "-C65536", "-Eall-fragments,dedupe"],
    "lz4-dedupe": ["-zlz4", "-Ededupe", "-C16384"],
    "lz4-fragments": ["-zlz4", "-Efragments"],
    "lz4-1k-blocks": ["-zlz4", "-b1024"],
    "two-algorithms": ["-zlz4:lzma,6", "-C32768"],
    "prefixes": ["--xattr-prefix=user.a.long.prefix."],
    "48bit": ["-E48bit"],
}


def erofs_tree(root: Path) -> None:
    """Files that compress, that do not, that repeat each other, and that are small."""
    chance = random.Random(17)
    root.mkdir()
    text = b"".join(b"line %d of the text\n" % (number * number) for number in range(6000))
    (root / "text").write_bytes(text)
    (root / "text again").write_bytes(b"other" + text[20_000:90_000])
    (root / "random").write_bytes(chance.randbytes(9000))
    (root / "mixed").write_bytes(b"".join(chance.randbytes(400) + b"ab" * chance.randrange(3000) for _ in range(12)))
    (root / "zeros").write_bytes(bytes(200_000))
    (root / "empty").write_bytes(b"")
    for number in range(40):
        (root / f"small {number:02}").write_bytes(text[: number * 150])
    os.setxattr(root / "text", "user.a.long.prefix.name", b"a value")
    os.setxattr(root / "zeros", "user.other", b"another value")
    for path in [*root.iterdir(), root]:
        os.utime(path, (MTIME, MTIME))


def stored_erofs(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.img.xz").read_bytes())


def main(mkfs: str) -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        erofs_tree(Path(folder) / "tree")
        for name, options in IMAGES.items():
            image = Path(folder) / f"{name}.img"
            subprocess.run([mkfs, *options, "-x1", "-Uclear", image, f"{folder}/tree"], check=True, capture_output=True)
            packed = lzma.compress(image.read_bytes(), preset=9)
            (DATA / f"{name}.img.xz").write_bytes(packed)
            print(name, len(packed))


if __name__ == "__main__":
    main(sys.argv[1])
