"""Make the images in guest/tests/data/xfs with the kernel; needs root, loop devices and xfs_io.

    python guest/tests/support/make_xfs_images.py guest/tests/data/xfs

Each image is mounted, filled, and then read by the kernel again: that is the truth that is stored beside it. Unclean
images are copied while they are mounted, and the truth is what the kernel shows after it replayed their log.
"""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from guest_trees import add_unix_objects, truth
from sparse_images import pack, write_truth

from douane_guest.budget import Budget
from douane_guest.filesystems.xfs import superblock
from douane_guest.filesystems.xfs.disk import Disk
from douane_guest.filesystems.xfs.log_ring import Ring, find_span
from douane_guest.source import FileSource

SIZE = 320 << 20


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def mounted(image: Path, options: str = "nouuid") -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        run("mount", "-t", "xfs", "-o", f"loop,{options}", image, folder)
        try:
            yield Path(folder)
        finally:
            run("umount", folder)


def fill(top: Path) -> None:
    """All forms of folders, forks, links and attributes, in bytes that compress well."""
    files = [("large", b"a line of text\n" * 20_000), ("page", b"p" * 4096), ("one", b"1"), ("small", b"s" * 60)]
    for name, data in files:
        (top / name).write_bytes(data)
    add_folders(top)
    add_files(top)
    add_attributes(top)
    (top / "folder").mkdir()
    add_unix_objects(top)


def add_folders(top: Path) -> None:
    for count in (1, 5, 40, 300, 1500):
        (top / f"folder{count}").mkdir()
        for number in range(count):
            (top / f"folder{count}/a name of a file, number {number:06}").touch()
        for number in range(3, count, 7):
            (top / f"folder{count}/a name of a file, number {number:06}").unlink()
    for name in (b"new\nline", b"x" * 255, b"not \xff utf-8 \xfe", "Grüße, 世界".encode()):
        Path(os.fsdecode(os.path.join(os.fsencode(top), name))).write_bytes(b"odd")


def add_files(top: Path) -> None:
    with (top / "hole").open("wb") as file:
        file.truncate(1 << 40)
        os.pwrite(file.fileno(), b"middle", 25 << 20)
        file.truncate(50 << 20)
    with (top / "extents").open("wb") as file:
        for number in range(700):
            os.pwrite(file.fileno(), b"%08d" % number * 512, number * 3 * 4096)
    with (top / "allocated").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        os.pwrite(file.fileno(), b"written" * 1000, 300_000)
    (top / "clone").touch()
    with contextlib.suppress(subprocess.CalledProcessError):  # without reflink
        run("cp", "--reflink=always", top / "large", top / "clone")
    (top / "old").touch()
    os.utime(top / "old", ns=(-5_123_456_789, -5_123_456_789))
    (top / "future").touch()
    with contextlib.suppress(OverflowError, OSError):
        os.utime(top / "future", ns=(2**33 * 10**9 + 7, 2**33 * 10**9 + 7))


def add_attributes(top: Path) -> None:
    kinds = [("few", 3, 20), ("leaf", 30, 40), ("node", 400, 90), ("remote", 2, 9000), ("most", 1, 65536)]
    for name, count, size in kinds:
        path = top / f"attributes-{name}"
        path.write_bytes(b"has attributes")
        for number in range(count):
            os.setxattr(path, f"user.attribute{number}", b"%06d" % number * (size // 6))
        os.setxattr(path, "security.selinux", b"system_u:object_r:etc_t:s0\0")
        os.setxattr(path, "trusted.empty", b"")
    rows = [(0x01, 6, -1), (0x02, 4, 1000), (0x04, 4, -1), (0x10, 6, -1), (0x20, 4, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)
    os.setxattr(top / "one", "system.posix_acl_access", acl)


def change(top: Path) -> None:
    """What is only in the log: new, changed and deleted objects of each form."""
    for number in range(150):
        path = top / f"late{number}"
        path.write_bytes(b"late %d" % number * 50)
        os.setxattr(path, "user.late", b"v" * (number * 3 + 1))
        if number % 3 == 0:
            path.unlink()
    shutil.rmtree(top / "folder300")
    (top / "folder1500/again").mkdir()
    for number in range(0, 700, 7):
        (top / f"folder1500/a name of a file, number {number:06}").unlink()
    (top / "reused").mkdir()
    for number in range(400):
        (top / f"reused/another name {number}").write_bytes(b"1")
    with (top / "fragments").open("wb") as file:
        for number in range(300):
            os.pwrite(file.fileno(), b"z" * 4096, number * 8192)
    (top / "late link").symlink_to("q" * 900)
    (top / "one").rename(top / "renamed")
    os.truncate(top / "large", 777)
    os.mknod(top / "late device", 0o60600, os.makedev(200, 70_000))
    for folder, _, names in os.walk(os.fsencode(top)):
        for name in [os.path.join(folder, name) for name in names] + [folder]:
            if not os.path.islink(name) and (os.path.isfile(name) or os.path.isdir(name)):
                sync(name)


def sync(path: str | bytes | Path) -> None:
    """Into the log, and no further."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def attributes(top: Path) -> dict[str, dict[str, str]]:
    """The extended attributes of the files in the root folder, values as hexadecimal digits."""
    return {
        path.name: {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
        for path in top.iterdir()
        if not path.is_symlink() and path.is_file() and os.listxattr(path)
    }


def fill_small(top: Path) -> None:
    """A little of each form, for tests that read it many times."""
    for count in (2, 30, 180):
        (top / f"folder{count}").mkdir()
        for number in range(count):
            os.mkfifo(top / f"folder{count}/a name of a file, number {number:06}")
    with (top / "extents").open("wb") as file:
        for number in range(60):
            os.pwrite(file.fileno(), b"%08d" % number * 128, number * 3 * 1024)
    (top / "link").symlink_to("t" * 900)
    (top / "attributes").touch()
    os.setxattr(top / "attributes", "user.remote", b"value" * 300)
    for number in range(40):
        os.setxattr(top / "attributes", f"user.attribute{number}", b"%06d" % number)


def change_small(top: Path) -> None:
    for number in range(0, 180, 20):
        (top / f"folder180/a name of a file, number {number:06}").unlink()
    (top / "late").write_bytes(b"late")
    (top / "folder2/late").mkdir()
    os.setxattr(top / "late", "user.late", b"late")
    sync(top / "late")
    sync(top / "folder2/late")


def tear(image: Path) -> None:
    """Damage the last record of the log, as if not all of it had been written."""
    with image.open("r+b") as file:
        source = FileSource(file.fileno())
        sb = superblock.parse(source)
        place = Disk(source, sb, Budget()).place(sb.log_start, sb.log_blocks)
        sectors = sb.log_blocks * sb.block_size // 512
        ring = Ring(source, place, sectors, v2=True, uuid=sb.uuid, budget=Budget())
        last = ring.record_before(find_span(ring).head, 1024)
        os.pwrite(file.fileno(), b"not written", place + (last.block + last.headers) * 512 + 8)


CLEAN = {
    "default": [],
    "rmapbt": ["-m", "rmapbt=1", "-i", "nrext64=1"],
    "old": ["-m", "bigtime=0,reflink=0,inobtcount=0,finobt=0", "-i", "sparse=0"],
    "block1k": ["-b", "size=1024", "-n", "size=8192"],
    "directory16k": ["-n", "size=16384"],
    "small-clean": ["-b", "size=1024"],
    "inode2k": ["-i", "size=2048", "-s", "size=4096"],
}
UNCLEAN = {
    "log": [],
    "small": ["-b", "size=1024"],
    "torn": ["-b", "size=1024"],
    "log-block1k": ["-b", "size=1024", "-i", "nrext64=1"],
    "log-stripe": ["-l", "su=256k", "-m", "rmapbt=1"],
    "log-old": ["-m", "bigtime=0,reflink=0,inobtcount=0,finobt=0", "-n", "size=16384", "-s", "size=4096"],
}


def make(image: Path, options: list[str], *, unclean: bool) -> tuple[dict, dict]:
    """Leaves the image, and returns what the kernel shows."""
    with image.open("wb") as file:
        file.truncate(SIZE)
    run("mkfs.xfs", "-q", "-L", "label", *options, image)
    with mounted(image, "noatime") as top:
        small = image.name in {"small", "small-clean", "torn"}
        (fill_small if small else fill)(top)
        if unclean:
            run("sync", "-f", top)
            (change_small if small else change)(top)
            run("cp", "--sparse=always", image, f"{image}.unclean")
    if not unclean:
        with mounted(image, "ro") as top:
            return truth(top), attributes(top)
    os.replace(f"{image}.unclean", image)
    if image.name == "torn":
        tear(image)
    copy = Path(f"{image}.mounted")
    run("cp", "--sparse=always", image, copy)
    with mounted(copy) as top:
        facts = truth(top), attributes(top)
    copy.unlink()
    return facts


def main(folder: Path, names: list[str]) -> None:
    """Make those with these names, or all."""
    with tempfile.TemporaryDirectory() as work:
        for name, options in {**CLEAN, **UNCLEAN}.items():
            if names and name not in names:
                continue
            image = Path(work) / name
            facts, values = make(image, options, unclean=name in UNCLEAN)
            pack(image, folder / f"{name}.image")
            write_truth(folder / f"{name}.truth", facts)
            write_attributes(folder / f"{name}.attributes", values)
            image.unlink()


def write_attributes(path: Path, values: dict[str, dict[str, str]]) -> None:
    path.write_bytes(lzma.compress(json.dumps(values, sort_keys=True).encode()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
