"""Make the images in guest/tests/data/btrfs with the kernel; needs root and loop devices.

    python guest/tests/support/make_btrfs_images.py guest/tests/data/btrfs

Each image is mounted, filled, and then read by the kernel again: that is the truth that is stored beside it. Unclean
images are copied while they are mounted, and the truth is what the kernel shows after it replayed their log.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from guest_trees import truth
from sparse_images import pack, write_truth

SIZE = 256 << 20


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def mounted(image: Path, options: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        run("mount", "-o", f"loop,{options}", image, folder)
        try:
            yield Path(folder)
        finally:
            run("umount", folder)


def fill_files(top: Path) -> None:
    """What compression, cloning, and holes make of files."""
    chance = random.Random(17)
    words = [chance.randbytes(6).hex().encode() for _ in range(300)]
    text = b" ".join(chance.choice(words) for _ in range(30_000))
    (top / "text").write_bytes(text)
    (top / "short text").write_bytes(b"short text that is inline " * 60)
    (top / "tiny").write_bytes(b"tiny")
    (top / "noise").write_bytes(chance.randbytes(9000))
    (top / "same").write_bytes(b"a" * 500_000)
    (top / "not a sector").write_bytes(text[:131_073])
    with (top / "overwritten").open("wb") as file:
        file.write(text[:300_000])
        os.fsync(file.fileno())
        os.pwrite(file.fileno(), b"in the middle" * 300, 100_001)
        os.fsync(file.fileno())
        os.pwrite(file.fileno(), bytes(8192), 200_000)
    with (top / "holes").open("wb") as file:
        file.truncate(1 << 40)
        for number in range(12):
            os.pwrite(file.fileno(), b"island %d " % number * 400, number * 97 * 4096)
        file.truncate(20 << 20)
    with (top / "allocated").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 20)
        os.pwrite(file.fileno(), b"written" * 1000, 300_000)
    with (top / "cut").open("wb") as file:
        file.write(text[:200_000])
        os.fsync(file.fileno())
        file.truncate(70_001)
        file.truncate(90_000)
    run("cp", "--reflink=always", top / "text", top / "clone")
    run("xfs_io", "-f", "-c", f"reflink {top}/text 4096 8192 40960", "-c", "truncate 60000", top / "parts")
    (top / "folder").mkdir()
    for number in range(60):
        (top / "folder" / f"file {number}").write_bytes(b"%d" % number)
        if number % 3 == 0:
            (top / "folder" / f"file {number}").unlink()
    (top / "link").symlink_to("folder/file 1")
    (top / "long link").symlink_to("x/" * 1500)
    for number in range(70):
        os.link(top / "tiny", top / "folder" / f"{'hard' * 20} {number}")
    os.mkfifo(top / "fifo")
    os.mknod(top / "device", 0o60600, os.makedev(259, 300))
    with open(os.path.join(os.fsencode(top), b"\xff\n"), "wb") as file:
        file.write(b"odd")
    os.setxattr(top / "tiny", "user.one", b"1")
    os.setxattr(top / "tiny", "user.empty", b"")
    os.setxattr(top / "tiny", "security.selinux", b"system_u:object_r:etc_t:s0\0")
    os.setxattr(top / "tiny", "user.large", chance.randbytes(3000))


def fill_subvolumes(top: Path) -> None:
    """A default subvolume with another one in it, a snapshot of it, and one that is deleted."""
    run("btrfs", "subvolume", "create", top / "@")
    run("btrfs", "subvolume", "create", top / "@/inner")
    (top / "folder").mkdir()
    run("btrfs", "subvolume", "create", top / "folder/@home")
    (top / "outside").write_bytes(b"outside of the default subvolume")
    (top / "@/file").write_bytes(b"in the default subvolume" * 1000)
    (top / "@/inner/file").write_bytes(b"in the inner one")
    (top / "folder/@home/file").write_bytes(b"in another one")
    run("btrfs", "subvolume", "snapshot", "-r", top / "@", top / "@/snapshot")
    (top / "@/file").write_bytes(b"changed later")
    run("btrfs", "subvolume", "create", top / "@/deleted")
    (top / "@/deleted/file").write_bytes(b"deleted")
    run("btrfs", "subvolume", "delete", top / "@/deleted")
    run("btrfs", "subvolume", "set-default", top / "@")


def before_log(top: Path) -> Path:
    """What is committed before a log begins."""
    logged = top / "folder"
    for number in range(12):
        (logged / f"before {number}").write_bytes(b"before %d" % number * (1 if number % 2 else 4000))
    os.setxattr(logged / "before 1", "user.removed", b"x")
    os.setxattr(logged / "before 1", "user.changed", b"x")
    (logged / "under").mkdir()
    (logged / "under" / "moved").write_bytes(b"moved" * 3000)
    os.link(logged / "before 7", logged / "second name")
    (logged / "swap a").write_bytes(b"a")
    (logged / "swap b").write_bytes(b"b")
    (top / "other").mkdir()
    with (logged / "parts").open("wb") as file:
        file.write(b"0123456789abcdef" * 20_000)
    os.sync()
    return logged


def log_contents(top: Path) -> None:
    """New files, and files whose bytes, sizes and attributes change."""
    logged = before_log(top)
    for number in range(30):
        sync(logged / f"after {number}", b"after %d " % number * (1 if number % 2 else 3000))
    with (logged / "before 0").open("r+b") as file:
        os.pwrite(file.fileno(), b"changed", 5000)
        os.fsync(file.fileno())
    with (logged / "before 2").open("r+b") as file:
        file.truncate(6000)
        os.fsync(file.fileno())
    with (logged / "before 4").open("ab") as file:
        file.write(b"appended" * 5000)
        file.flush()
        os.fsync(file.fileno())
    with (logged / "parts").open("r+b") as file:
        for number in (3, 9, 40):
            os.pwrite(file.fileno(), b"part %d" % number * 500, number * 4096)
            os.fsync(file.fileno())
        run("fallocate", "--punch-hole", "-o", 100 * 1024, "-l", 64 * 1024, logged / "parts")
        os.fsync(file.fileno())
    with (logged / "sparse").open("wb") as file:
        os.pwrite(file.fileno(), b"island" * 1000, 1 << 20)
        file.truncate(2 << 20)
        os.posix_fallocate(file.fileno(), 2 << 20, 1 << 20)
        os.fsync(file.fileno())
    os.removexattr(logged / "before 1", "user.removed")
    os.setxattr(logged / "before 1", "user.changed", b"y")
    os.setxattr(logged / "before 1", "user.new", b"z")
    (logged / "before 1").chmod(0o600)
    os.chown(logged / "before 1", 7, 8)
    sync_path(logged / "before 1")
    run("truncate", "-s", 10, logged / "before 6")
    sync_path(logged / "before 6")


def log_folder(top: Path) -> None:
    """A folder that is synced after names were added to it and removed from it."""
    logged = before_log(top)
    (logged / "before 3").unlink()
    (logged / "before 5").unlink()
    for number in range(8):
        (logged / f"new {number}").write_bytes(b"new %d" % number)
    (logged / "a link").symlink_to("before 0")
    (logged / "sub").mkdir()
    (logged / "sub" / "file").write_bytes(b"in a new folder")
    os.mkfifo(logged / "fifo")
    sync_path(logged)


def log_links(top: Path) -> None:
    """Hard links that are added and removed."""
    logged = before_log(top)
    os.link(logged / "before 6", logged / "new link")
    sync_path(logged / "before 6")
    os.link(logged / "before 4", top / "other" / "new link")
    sync_path(logged / "before 4")


def log_renamed(top: Path) -> None:
    """A file with another name in its folder."""
    logged = before_log(top)
    (logged / "before 5").rename(logged / "renamed")
    sync_path(logged / "renamed")


def log_replaced(top: Path) -> None:
    """A file that is written beside another and takes its name, as editors and package managers do."""
    logged = before_log(top)
    sync(logged / "before 1.new", b"the new version")
    (logged / "before 1.new").rename(logged / "before 1")
    sync_path(logged)


def log_everything(top: Path) -> None:
    """What makes the kernel commit in between is part of it: the last changes are in the log."""
    logged = before_log(top)
    (logged / "second name").unlink()
    sync_path(logged / "before 7")
    (logged / "under" / "moved").rename(top / "moved up")
    sync_path(top / "moved up")
    (logged / "swap a").rename(logged / "swap c")
    (logged / "swap b").rename(logged / "swap a")
    (logged / "swap c").rename(logged / "swap b")
    sync_path(logged / "swap a")
    (logged / "before 8").unlink()
    sync(logged / "before 8", b"another file of this name")
    (logged / "sub").mkdir()
    sync(logged / "sub" / "file", b"in a new folder")
    (logged / "a link").symlink_to("before 0")
    sync_path(logged)
    (top / "other").rmdir()
    sync_path(top)


LOGS = {
    fill.__name__.replace("_", "-"): fill
    for fill in (log_contents, log_folder, log_links, log_renamed, log_replaced, log_everything)
}


def sync(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make(
    target: Path, name: str, fill: Callable[[Path], None], *, mkfs: str = "", options: str = "", unclean: bool = False
) -> None:
    options = ",".join(filter(None, ["commit=300", options]))
    with tempfile.TemporaryDirectory() as folder:
        image, copy = Path(folder) / "image", Path(folder) / "copy"
        with image.open("wb") as file:
            file.truncate(SIZE)
        run("mkfs.btrfs", "-q", *mkfs.split(), image)
        with mounted(image, options) as top:
            if unclean:
                (top / "folder").mkdir()
                os.sync()
            fill(top)
            if unclean:
                run("cp", "--sparse=always", image, copy)
        shutil.move(copy, image) if unclean else None
        pack(image, target / f"{name}.image")
        if unclean:  # the kernel replays the log of its copy
            run("cp", "--sparse=always", image, copy)
            with mounted(copy, "rw") as top:
                write_truth(target / f"{name}.truth", truth(top))
            return
        with mounted(image, "ro") as top:
            write_truth(target / f"{name}.truth", truth(top))
        if fill is fill_subvolumes:
            with mounted(image, "ro,subvolid=5") as top:
                write_truth(target / f"{name}-top.truth", truth(top))


def main() -> None:
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:  # a log's name: for experiments
        make(target, sys.argv[2], LOGS[sys.argv[2]], unclean=True)
        return
    for kind in ("zlib", "lzo", "zstd"):
        make(target, kind, fill_files, options=f"compress-force={kind}")
    make(target, "holes", fill_files, mkfs="-O ^no-holes -d dup --csum xxhash")
    make(target, "mixed", fill_files, mkfs="-M -m dup -d dup --csum sha256")
    make(target, "subvolumes", fill_subvolumes)
    for name, change in LOGS.items():
        make(target, name, change, unclean=True)
    make(target, "log-contents-holes", log_contents, mkfs="-O ^no-holes --csum blake2", unclean=True)
    make(target, "log-contents-zstd", log_contents, options="compress-force=zstd", unclean=True)


if __name__ == "__main__":
    main()
