"""Stored images: of file systems that only a kernel or a FUSE program can fill, which a test machine may not have.

``python guest/tests/support/guest_stored.py FOLDER [NAME...]`` makes them again: as root, with loop
devices, exfat-fuse, ntfs-3g and wimtools. The tree in them is made again by each test, and is the truth.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import random
import struct
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


def fill_ntfs(root: Path) -> None:
    """The tree, and what only NTFS has; `add_to_truth` of the test says what is expected."""
    compact_tree(root)
    os.link(root / "lines", root / "folder/hard link")
    (root / "one:stream").write_bytes(b"a stream")
    (root / "one:large").write_bytes(lines(2000, "stream"))
    (root / "folder:of a folder").write_bytes(b"a stream of a folder")
    os.symlink("folder/target", root / "linux link")
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", 0o020666, os.makedev(1, 3))
    names = "\\??\\C:\\Users".encode("utf-16-le"), "C:\\Users".encode("utf-16-le")
    paths = names[0] + b"\0\0" + names[1] + b"\0\0"
    where = struct.pack("<HHHH", 0, len(names[0]), len(names[0]) + 2, len(names[1]))
    (root / "junction").mkdir()
    set_reparse(root / "junction", 0xA0000003, where + paths)
    (root / "symlink").write_bytes(b"")
    set_reparse(root / "symlink", 0xA000000C, where + struct.pack("<I", 1) + paths)
    (root / "wof").write_bytes(b"")
    set_reparse(root / "wof", 0x80000017, struct.pack("<IIII", 1, 2, 1, 0))
    os.setxattr(root / "Grüße, 世界", "system.ntfs_dos_name", b"GRUSS~1")
    os.setxattr(root / "one", "system.ntfs_ea", struct.pack("<IBBH", 20, 0, 4, 5) + b"NAME\0value\0\0")
    with (root / "fragments").open("wb") as file:
        for number in range(1200):
            os.pwrite(file.fileno(), fragment(number), number * 1536)


def fragment(number: int) -> bytes:
    return (b"%06d\n" % number).ljust(512, b".")


def set_reparse(path: Path, tag: int, data: bytes) -> None:
    os.setxattr(path, "system.ntfs_reparse_data", struct.pack("<IHH", tag, len(data), 0) + data)


def fill_compressed(root: Path) -> None:
    """Files that NTFS compresses: with parts that cannot be, holes, and an end within a unit."""
    os.setxattr(root, "system.ntfs_attrib_be", (0x810).to_bytes(4, "big"))
    compact_tree(root)
    noise = random.Random(17).randbytes(70_000)
    (root / "mixed").write_bytes(lines(9000, "before") + noise + bytes(200_000) + lines(9001, "after"))
    (root / "noise").write_bytes(noise)
    (root / "runs").write_bytes(b"".join(bytes([byte]) * (byte * 37) for byte in range(256)) + b"abc" * 9999)


def make_ntfs(image: Path) -> None:
    empty(image, "mkfs.ntfs", "-F", "-Q", "-c", "512", "-L", "Label ü")
    with mounted(image, "ntfs-3g", "-o", "streams_interface=windows,special_files=wsl,permissions") as root:
        fill_ntfs(root)


def make_compressed(image: Path) -> None:
    empty(image, "mkfs.ntfs", "-F", "-Q", "-C")
    with mounted(image, "ntfs-3g", "-o", "compression") as root:
        fill_compressed(root)


def make_wof(image: Path) -> None:
    """Files of the Windows Overlay Filter. Their packed bytes are those that wimlib writes into a WIM image."""
    empty(image, "mkfs.ntfs", "-F", "-Q", "-c", "512")
    with mounted(image, "ntfs-3g", "-o", "streams_interface=windows") as root:
        for name, data in overlay_files().items():
            for number, (word, size) in WOF_METHODS.items():
                path = root / f"{name}.{number}"
                path.write_bytes(b"")
                os.truncate(path, len(data))
                (root / f"{path.name}:WofCompressedData").write_bytes(packed_by_wimlib(data, word, size))
                set_reparse(path, 0x80000017, struct.pack("<IIII", 1, 2, 1, number))


WOF_METHODS = {0: ("XPRESS", 4096), 1: ("LZX", 32768), 2: ("XPRESS", 8192), 3: ("XPRESS", 16384)}
"""Words and sizes of pieces of wimlib, by the numbers in a reparse point."""


def overlay_files() -> dict[str, bytes]:
    """Text, noise that stays as it is, and something like the code of a program, whose calls LZX translates."""
    chance = random.Random(1)
    routines = [chance.randbytes(chance.randint(3, 40)) for _ in range(60)]
    code = b"".join(
        chance.choice(routines)
        + b"\xe8"
        + chance.choice((1000, 2000, 70_000, -5, 13_000_000)).to_bytes(4, "little", signed=True)
        for _ in range(1500)
    )
    return {
        "lines": lines(5000, "lines"),
        "code": code,
        "noise": lines(300, "before") + chance.randbytes(5000) + bytes(70_000),
        "small": lines(30, "small"),
    }


def packed_by_wimlib(data: bytes, method: str, piece: int) -> bytes:
    """The resource of a file in a WIM image."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tree").mkdir()
        (Path(folder) / "tree/file").write_bytes(data)
        image = Path(folder) / "image"
        run("wimcapture", f"{folder}/tree", image, f"--compress={method}", f"--chunk-size={piece}", "--no-acls")
        wim = image.read_bytes()
    size, start = int.from_bytes(wim[48:55], "little"), int.from_bytes(wim[56:64], "little")
    table = wim[start : start + size]
    entry = table.index(hashlib.sha1(data).digest()) - 30
    size, start = (
        int.from_bytes(table[entry : entry + 7], "little"),
        int.from_bytes(table[entry + 8 : entry + 16], "little"),
    )
    return wim[start : start + size]


MAKERS = {"exfat": make_exfat, "ntfs": make_ntfs, "ntfs-compressed": make_compressed, "ntfs-wof": make_wof}


def main(folder: Path, *names: str) -> None:
    """Make all of them, or some."""
    for name in names or MAKERS:
        image = folder / name
        MAKERS[name](image)
        packed = lzma.compress(image.read_bytes(), preset=9)
        (DATA / f"{name}.img.xz").write_bytes(packed)
        print(name, len(packed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
