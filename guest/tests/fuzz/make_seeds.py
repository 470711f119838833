"""`python guest/tests/fuzz/make_seeds.py`: write the seeds of the guest's mutants that no test stores to fuzz/seeds.

mkfs, qemu-img, mtools, genisoimage, xorriso and sgdisk make them. A seed is stored, so that the n-th mutant is the same
everywhere.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import guest_fuzz_paths  # noqa: F401  # for its effect, and before those that need it
from guest_disks import CONTAINERS, convert
from guest_packages import BERKELEY, SQLITE, headers, ndb_of
from sparse_images import pack
from udf_files import Filler
from windows_hives import windows_hive

from douane_guest.errors import GuestError

TO = Path(__file__).with_name("seeds")
KIB, MIB = 1 << 10, 1 << 20


def run(*command: object) -> None:
    environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "1700000000"}
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, env=environment)


def system_tree(root: Path) -> Path:
    """A system with every database of packages, small."""
    chance = random.Random(5)
    files = {
        "etc/fstab": b"UUID=aaaa / ext4 defaults 0 1\n/dev/sda2 /boot vfat defaults 0 2\nLABEL=x /data ext4\n",
        "etc/passwd": b"root:x:0:0::/root:/bin/sh\n",
        "usr/lib/os-release": b'ID=example\nVERSION_ID="1"\nPRETTY_NAME="An example"\n',
        "var/lib/dpkg/status": b"Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n\n",
        "var/lib/rpm/rpmdb.sqlite": SQLITE,
        "var/lib/rpm/Packages": BERKELEY,
        "usr/lib/sysimage/rpm/Packages.db": ndb_of(headers()),
        "lib/apk/db/installed": b"P:musl\nV:1.2\nA:x86_64\n\n",
        "var/lib/pacman/local/a-1/desc": b"%NAME%\na\n\n%VERSION%\n1\n",
        "usr/lib/python3/dist-packages/six-1.0.dist-info/METADATA": b"Name: six\nVersion: 1.0\n\n",
        "usr/lib/node_modules/left/package.json": b'{"name": "left", "version": "1.0"}',
        "data/noise": chance.randbytes(9000),
        "data/lines": b"the same line\n" * 9000,
    }
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    for number in range(70):
        (root / "data" / f"a rather long name of a file, number {number:03}").write_bytes(b"%d" % number)
    with (root / "data/hole").open("wb") as file:
        for number in range(8):
            os.pwrite(file.fileno(), b"extent", number * 20_000)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "data/long link").symlink_to("t" * 100)
    (root / "data/loop").symlink_to("loop")
    os.mkfifo(root / "data/fifo")
    os.setxattr(root / "data/noise", "user.note", b"value")
    os.setxattr(root / "data/lines", "user.long", b"v" * 900)
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return root


def windows_tree(root: Path) -> Path:
    """The registry, and names that FAT can have."""
    (root / "Windows/System32/config").mkdir(parents=True)
    (root / "Windows/System32/config/SOFTWARE").write_bytes(windows_hive())
    (root / "folder").mkdir()
    for number in range(30):
        (root / "folder" / f"A long name {number}").write_bytes(b"%d" % number * 300)
    return root


def blank(image: Path, size: int) -> Path:
    with image.open("wb") as file:
        file.truncate(size)
    return image


EXT = {
    "ext2": "-t ext2 -b 1024",
    "ext3": "-t ext3 -b 1024 -J size=1",
    "ext4": "-t ext4 -b 4096 -O ^has_journal,metadata_csum,64bit",
    "ext4-inline": "-t ext4 -b 1024 -O ^has_journal,inline_data,ea_inode,large_dir,bigalloc -C 4096 -I 256",
    "ext4-classic": "-t ext4 -b 1024 -O ^has_journal,^metadata_csum,meta_bg,^resize_inode,dir_index",
}
SQUASHFS = {
    "gzip": "",
    "xz": "-comp xz -b 16384",
    "zstd": "-comp zstd",
    "lz4": "-comp lz4 -b 8192",
    "lzo": "-comp lzo",
    "plain": "-noI -noD -noF -noX",
}
ISO = {
    "iso-plain": "genisoimage -quiet -no-pad -D",
    "iso-rock": "genisoimage -quiet -no-pad -D -R -J",
    "iso-zisofs": "xorriso -as mkisofs -quiet -R -z",
    "iso-udf": "genisoimage -quiet -no-pad -D -R -J -udf",
}
FAT = {"fat12": ("-F 12", 1), "fat16": ("-F 16 -s 1", 5), "fat32": ("-F 32 -s 1", 34)}
UDF = {
    "udf-201": "-m hd -r 2.01 --ad=long",
    "udf-260": "-m bdr -r 2.60",
    "udf-virtual": "-m cdr -r 1.50",
    "udf-sparing": "-m cdrw -r 2.01",
}
UUID = "11111111-2222-3333-4444-555555555555"


def make_filesystems(tree: Path, windows: Path, folder: Path) -> None:
    for name, options in EXT.items():
        fixed = ["-U", UUID, "-E", f"hash_seed={UUID}"]
        size = "8M" if "size=" in options else "2M"
        run("mke2fs", "-q", "-F", *fixed, *options.split(), "-d", tree, folder / name, size)
    for name, options in SQUASHFS.items():
        run("mksquashfs", tree, folder / f"squashfs-{name}", "-noappend", "-quiet", "-processors", 1, *options.split())
    for name, options in ISO.items():
        run(*options.split(), "-o", folder / name, tree)
    for name, (options, size) in FAT.items():
        run("mkfs.fat", *options.split(), "-i", "12345678", blank(folder / name, size * MIB))
        run("mcopy", "-s", "-m", "-i", folder / name, *sorted(windows.iterdir()), "::")
    run("mkfs.erofs", "-T0", "-U", UUID, folder / "erofs", tree)
    run("mkfs.btrfs", "-q", "-U", UUID, "-m", "dup", "--rootdir", tree, blank(folder / "btrfs", 120 * MIB))
    for name, options in UDF.items():
        run("mkudffs", "--new-file", "-u", "1234567890123456", *options.split(), folder / name, 2500)
        try:
            filler = Filler((folder / name).read_bytes(), 300)
            for number in range(8):
                filler.add(b"\x08name%d" % number, b"content %d" % number)
            (folder / name).write_bytes(filler.image())
        except (GuestError, ValueError, LookupError, struct.error) as error:
            print(f"{name} stays empty: {error!r}")


def make_disks(folder: Path) -> None:
    """Tables, and a small disk in every container."""
    gpt = blank(folder / "gpt", 4 * MIB)
    run("sgdisk", "-U", UUID, "-a", 1, "-n", "1:64:+2048K", "-n", "2:0:+1100K", gpt)
    with gpt.open("r+b") as file:
        os.pwrite(file.fileno(), (folder / "ext2").read_bytes(), 64 * 512)
    mbr = blank(folder / "mbr", 4 * MIB)
    script = "label: dos\nlabel-id: 0x1\n64 2000 83 *\n4096 4096 5\n4160 100 83\n4400 200 6\n4800 2200 83\n"
    subprocess.run(["sfdisk", "-q", "--no-reread", mbr], input=script.encode(), check=True, capture_output=True)
    with mbr.open("r+b") as file:
        os.pwrite(file.fileno(), (folder / "fat12").read_bytes()[: 1 * MIB], 4800 * 512)
    for name, (driver, options) in CONTAINERS.items():
        if name != "raw" and "2M" not in name:
            convert(folder / "mbr", folder / name.replace(" ", "-").replace(",", ""), driver, options)


def main() -> int:
    """Write all seeds."""
    shutil.rmtree(TO, ignore_errors=True)
    TO.mkdir()
    with tempfile.TemporaryDirectory() as work:
        tree, windows, folder = Path(work, "tree"), Path(work, "windows"), Path(work, "images")
        folder.mkdir()
        make_filesystems(system_tree(tree), windows_tree(windows), folder)
        make_disks(folder)
        for image in sorted(folder.iterdir()):
            pack(image, TO / image.name)
            print(
                f"{image.name}: {image.stat().st_size >> 10} KiB, packed {(TO / image.name).stat().st_size >> 10} KiB"
            )
    total = sum(path.stat().st_size for path in TO.iterdir())
    print(f"{len(list(TO.iterdir()))} seeds, packed {total >> 10} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
