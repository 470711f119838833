"""btrfs of one device: profiles, checksums, compressions, subvolumes, and the features of mkfs.btrfs 6.2."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .recipe import SECOND, Build, Recipe, by_kernel, by_program, copy_tree
from .tree import Shape
from .workshop import MEBIBYTE, empty_file, mounted, run

SIZE = 400
SHAPE = Shape()
MAKE = {
    "": "",
    "single": "-m single -d single",
    "dup": "-m dup -d dup",
    "mixed groups": "--mixed",
    "nodes of 4 KiB": "-n 4k",
    "nodes of 64 KiB": "-n 64k",
    "xxhash": "--csum xxhash",
    "sha256": "--csum sha256",
    "blake2": "--csum blake2",
    "holes written": "-O ^no-holes",
    "without the tree of free space": "-R ^free-space-tree",
    "quota": "-R quota",
    "extents of metadata as in 2013": "-O ^skinny-metadata",
}
MOUNT = {
    "zlib": "compress-force=zlib",
    "zlib level 9": "compress-force=zlib:9",
    "lzo": "compress-force=lzo",
    "zstd": "compress-force=zstd",
    "zstd level 15": "compress-force=zstd:15",
    "compressed where it helps": "compress=zstd",
    "without checksums of data": "nodatasum",
    "without copies on write": "nodatacow",
    "without inline files": "max_inline=0",
}


def recipes() -> Iterator[Recipe]:
    """All of them; the kernel shows the top level, where all subvolumes are."""
    for name, options in MAKE.items():
        build = by_kernel("btrfs", "", "mkfs.btrfs", "-q", "-f", *options.split(), size=SIZE)
        yield _recipe(name, build)
    for name, options in MOUNT.items():
        yield _recipe(name, by_kernel("btrfs", options, "mkfs.btrfs", "-q", "-f", size=SIZE))
    yield _recipe("zstd, dup", _with("compress-force=zstd", "-m", "dup", "-d", "dup"))
    build = by_program("mkfs.btrfs", "-q", "-f", "--rootdir", "TREE", "IMAGE", size=SIZE)
    yield _recipe("filled by mkfs.btrfs", build)
    yield _recipe("subvolumes, a default one, snapshots", _changed(_add_subvolumes), frozenset({b"@", b"writable"}))
    yield _recipe("clones and parts of them", _changed(_add_clones), frozenset({b"clone", b"parts", b"allocated"}))
    yield _several_devices()


def _several_devices() -> Recipe:
    """One of two devices, which is to be reported."""

    def build(tree: Path, image: Path) -> None:
        devices = [empty_file(image.with_name(name), SIZE * MEBIBYTE) for name in (image.name, "second")]
        run("mkfs.btrfs", "-q", "-f", "-d", "raid0", *devices)

    return Recipe("btrfs one of two devices", "btrfs", build, SHAPE, is_unread=True)


def _with(mount: str, *make: str) -> Build:
    return by_kernel("btrfs", mount, "mkfs.btrfs", "-q", "-f", *make, size=SIZE)


def _recipe(name: str, build: Build, adds: frozenset[bytes] = frozenset()) -> Recipe:
    return Recipe(
        f"btrfs {name}".strip(),
        "btrfs",
        build,
        SHAPE,
        mount=("btrfs", "subvolid=5"),
        adds=adds,
        step_ns=SECOND if "mkfs" in name else 1,
        lacks=frozenset({"device"}) if "mkfs" in name else frozenset(),
        by_clock=frozenset({b"writable/inner"}),  # where a subvolume is that its snapshot does not have
    )


def _changed(change: Callable[[Path], None]) -> Build:
    def build(tree: Path, image: Path) -> None:
        empty_file(image, SIZE * MEBIBYTE)
        run("mkfs.btrfs", "-q", "-f", image)
        with mounted(image, "btrfs", "rw") as folder:
            copy_tree(tree, folder)
            change(folder)

    return build


def _add_subvolumes(top: Path) -> None:
    run("btrfs", "subvolume", "create", top / "@")
    run("btrfs", "subvolume", "create", top / "@/inner")
    (top / "@/inner/file").write_bytes(b"in the inner subvolume" * 1000)
    run("btrfs", "subvolume", "snapshot", top / "@", top / "writable")
    run("btrfs", "subvolume", "snapshot", "-r", top / "@/inner", top / "@/read only")
    (top / "writable/new").write_bytes(b"written after the snapshot" * 5000)
    run("btrfs", "subvolume", "create", top / "removed")
    run("btrfs", "subvolume", "delete", top / "removed")
    run("btrfs", "subvolume", "set-default", top / "@")


def _add_clones(top: Path) -> None:
    run("cp", "--reflink=always", top / "text", top / "clone")
    run("xfs_io", "-f", "-c", f"reflink {top}/text 4096 8192 40960", "-c", "truncate 60000", top / "parts")
    with (top / "allocated").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 4 << 20)
        os.pwrite(file.fileno(), b"written" * 1000, 300_000)
    with (top / "clone").open("r+b") as file:
        os.pwrite(file.fileno(), b"changed after the clone", 100_001)
