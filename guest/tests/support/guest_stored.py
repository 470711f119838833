"""Stored images: of file systems that only a kernel or a FUSE program can fill, which a test machine may not have.

``python guest/tests/support/guest_stored.py FOLDER`` makes them again: as root, with loop devices, exfat-fuse and
ntfs-3g. The tree in them is made again by each test, and is the truth.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
MTIME_NS = 1_700_000_000_120_000_000
MEGABYTES = 12


def stored(name: str) -> bytes:
    """The image with a name."""
    return lzma.decompress((DATA / f"{name}.img.xz").read_bytes())


def lines(count: int, word: str) -> bytes:
    """Text in which no two blocks are equal, so a block in the place of another is noticed."""
    return b"".join(b"%s %08d\n" % (word.encode(), number) for number in range(count))


def compact_tree(root: Path) -> None:
    """What file systems with UTF-16 names get wrong, in a few hundred kilobytes that compress well."""
    root.mkdir(exist_ok=True)
    for name, data in [("empty", b""), ("one", b"1"), ("lines", lines(20_000, "lines")), ("zeros", bytes(100_000))]:
        (root / name).write_bytes(data)
    with (root / "hole").open("wb") as file:
        file.write(lines(300, "begin"))
        file.truncate(600_000)
        os.pwrite(file.fileno(), b"middle", 300_000)
    with (root / "extents").open("wb") as first, (root / "between").open("wb") as second:
        for number in range(40):
            for file, word in [(first, "first"), (second, "second")]:
                file.write((b"%s %06d\n" % (word.encode(), number)).ljust(4096, b"."))
                file.flush()
                os.fsync(file.fileno())
    (root / "folder").mkdir()
    for number in range(300):
        (root / f"folder/a rather long name, number {number:04}").write_bytes(b"%d" % number)
    for number in range(0, 300, 3):
        (root / f"folder/a rather long name, number {number:04}").unlink()
    deep = root / "deep"
    for number in range(12):
        deep.mkdir()
        deep /= f"level {number}"
    deep.write_bytes(b"bottom")
    for number, name in enumerate([" space", "-dash", "x" * 255, "Grüße, 世界", "\N{GRINNING FACE}", "UPPER.TXT"]):
        (root / name).write_bytes(b"odd %d" % number)
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(MTIME_NS, MTIME_NS))


def run(*command: object, **options) -> bytes:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, **options).stdout


@contextlib.contextmanager
def mounted(image: Path, *command: str) -> Iterator[Path]:
    """The file system of a FUSE program, on a loop device."""
    loop = run("losetup", "--show", "-f", image).decode().strip()
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(*command, loop, folder)
            try:
                yield Path(folder)
            finally:
                run("umount", folder)
    finally:
        run("losetup", "-d", loop)


def empty(image: Path, *command: str) -> Path:
    """A file system without files."""
    with image.open("wb") as file:
        file.truncate(MEGABYTES << 20)
    run(*command, image)
    return image


def make_exfat(image: Path) -> None:
    empty(image, "mkfs.exfat", "-c", "4096", "-L", "Label ü")
    with mounted(image, "mount.exfat-fuse") as root:
        compact_tree(root)


MAKERS = {"exfat": make_exfat}


def main(folder: Path) -> None:
    """Make all of them."""
    for name, make in MAKERS.items():
        image = folder / name
        make(image)
        packed = lzma.compress(image.read_bytes(), preset=9)
        (DATA / f"{name}.img.xz").write_bytes(packed)
        print(name, len(packed))
        image.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
