"""FAT, exFAT and NTFS: filled by mtools, exfat-fuse and ntfs-3g, whose programs read the file of an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .fuse import fuse
from .opinions import EXFAT_FUSE, FAT, NTFS_3G, SEVEN_ZIP
from .recipe import Build, Recipe
from .tree import Shape
from .workshop import MEBIBYTE, empty_file, run

NAMES = Shape(unix=False, hole=300_000, folder=1000, wide=False)
WIDE = NAMES._replace(wide=True)
FLOPPY = NAMES._replace(hole=100_000, extents=20, folder=60)
OF_UNIX = frozenset({"mode", "uid", "gid", "xattrs", "same_as"})
KINDS = {
    "fat12": (8, "-F 12 -s 8", "fat12"),
    "fat12, one table": (8, "-F 12 -s 8 -f 1", "fat12"),
    "fat16": (96, "-F 16 -s 4", "fat16"),
    "fat16, sectors of 1024": (96, "-F 16 -s 4 -S 1024", "fat16"),
    "fat32": (128, "-F 32 -s 1", "fat32"),
    "fat32, clusters of 16 KiB": (1100, "-F 32 -s 32", "fat32"),
    "fat32, sectors of 4096": (400, "-F 32 -s 1 -S 4096", "fat32"),
}
CLUSTERS = (512, 4096, 32768, 131072)


def recipes() -> Iterator[Recipe]:
    """All of them. mtools writes half of a character beyond 16 bits, and gives folders the time of now."""
    for name, (size, options, family) in KINDS.items():
        yield Recipe(
            name,
            family,
            _fat(size, options.split()),
            FLOPPY if family == "fat12" else NAMES,
            lacks=OF_UNIX | {"mtime_ns of folders"},
            step_ns=2_000_000_000,
            opinions=(FAT,),
        )
    for size in CLUSTERS:
        yield Recipe(
            f"exfat clusters of {size}",
            "exfat",
            _with_fuse(("mkfs.exfat", "-c", size), ("mount.exfat-fuse",), 800 if size > 50_000 else 128),
            WIDE,
            lacks=OF_UNIX,
            step_ns=2_000_000_000,
            opinions=(EXFAT_FUSE,),
        )
    for size in (512, 4096, 65536):
        yield _ntfs(f"ntfs clusters of {size}", ("-c", size), ())
    yield _ntfs("ntfs compressed", ("-C",), ("-o", "compression"))
    yield _ntfs("ntfs sectors of 4096", ("-s", 4096, "-c", 4096), ())


def _ntfs(name: str, make: tuple[object, ...], options: tuple[str, ...]) -> Recipe:
    build = _with_fuse(("mkfs.ntfs", "-F", "-Q", "-q", *make), ("ntfs-3g", *options), 512)
    return Recipe(name, "ntfs", build, WIDE, lacks=OF_UNIX, step_ns=100, opinions=(NTFS_3G, SEVEN_ZIP))


def _fat(size: int, options: list[str]) -> Build:
    def build(tree: Path, image: Path) -> None:
        run("mkfs.fat", *options, empty_file(image, size * MEBIBYTE))
        run("mcopy", "-s", "-m", "-Q", "-i", image, *sorted(tree.iterdir()), "::")

    return build


def _with_fuse(make: tuple[object, ...], mount: tuple[str, ...], size: int) -> Build:
    def build(tree: Path, image: Path) -> None:
        run(*make, empty_file(image, size * MEBIBYTE))
        with fuse(image, *mount) as folder:
            run("cp", "-r", "--preserve=timestamps", "--sparse=never", f"{tree}/.", folder)

    return build
