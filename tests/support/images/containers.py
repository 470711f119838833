"""Disks that have something to recognise, and the containers that qemu-img makes of them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from douane.plugins.formats.file_systems import SIGNATURES
from douane.plugins.formats.requests import HEAD_BYTES

from . import MIB
from .iso import BLOCK, disc, iso, udf_recognition, volume_blocks
from .partitions import blank, mbr_entry, mbr_sector, run
from .tar import tar
from .zip import zipped

CONTAINERS: dict[str, tuple[str, ...]] = {
    "vhd": ("vpc",),
    "vhd-fixed": ("vpc", "subformat=fixed,force_size=on"),
    "vhdx": ("vhdx",),
    "vdi": ("vdi",),
    "vmdk": ("vmdk",),
    "vmdk-stream": ("vmdk", "subformat=streamOptimized"),
    **{f"qcow2-{size}": ("qcow2", f"cluster_size={size}") for size in (512, 1024, 2048, 4096, 8192, 16384, 65536)},
    "qcow2-v2": ("qcow2", "compat=0.10,cluster_size=4096"),
    "qcow2-extended": ("qcow2", "extended_l2=on,cluster_size=16384"),
    "qcow": ("qcow",),
    "qed-4096": ("qed", "cluster_size=4096"),
    "qed": ("qed",),
    "parallels": ("parallels",),
}
"""Formats and options of qemu-img."""

Disk = Callable[[Path, int], None]


def _head(make: Callable[[], bytes]) -> Disk:
    """A disk that begins with the same bytes at every size."""
    content = functools.cache(make)

    def write(path: Path, size: int) -> None:
        head = content()
        with path.open("wb") as file:
            for at in range(0, min(len(head), size), 4096):
                if head[at : at + 4096].strip(b"\0"):
                    file.seek(at)
                    file.write(head[at : at + 4096])
            file.truncate(size)

    return write


def _tail(make: Callable[[int], bytes]) -> Disk:
    """A disk that ends with bytes that depend on its size, and has ones before them."""

    def write(path: Path, size: int) -> None:
        tail = make(size)
        with path.open("wb") as file:
            file.write(b"\1" * 4096)
            file.seek(size - len(tail))
            file.write(tail)

    return write


def _by_tool(*words: str, once: bool = True) -> Disk:
    """A disk by a program that takes its path as its last argument; of its first mebibytes only, if `once`."""

    @functools.cache
    def head() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = blank(Path(folder) / "disk", 320 * MIB)
            run(*words, path)
            with path.open("rb") as file:
                return file.read(2 * MIB)

    if once:
        return _head(head)

    def write(path: Path, size: int) -> None:
        blank(path, size)
        run(*words, path)

    return write


def _all_signatures() -> bytes:
    """Every signature that fits, and an ISO: as many as possible of the places where a format is recognised."""
    head = bytearray(iso(40))
    head += bytes(HEAD_BYTES - len(head) % HEAD_BYTES)
    head[:512] = mbr_sector(mbr_entry(0xEE, 1, 100))
    head[512:520] = head[4096:4104] = b"EFI PART"
    for _, at, magic in SIGNATURES:
        if at >= 1024 and not any(head[at : at + len(magic)]):
            head[at : at + len(magic)] = magic
    return bytes(head)


def _fixed_vhd_footer(size: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk.vhd"
        run("qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size=on", path, str(size - 512))
        with path.open("rb") as file:
            file.seek(-512, 2)
            return file.read()


def _hybrid_iso() -> bytes:
    return iso(400, mbr_sector(mbr_entry(0x17, 64, 1600, 0x80), code=b"\x33\xed"))


DISKS: dict[str, Disk] = {
    "all": _head(_all_signatures),
    "gpt": _by_tool("sgdisk", "-n1:2048:0", once=False),
    "iso": _head(lambda: iso(400)),
    "hybrid-iso": _head(_hybrid_iso),
    "udf": _head(lambda: disc([*volume_blocks(400), *udf_recognition(18)], 400, anchor=True)),
    "mbr": _head(lambda: mbr_sector(mbr_entry(0x83, 2048, 2048))),
    "ext": _by_tool("mkfs.ext4", "-q"),
    "fat": _by_tool("mkfs.fat", "-F", "32"),
    "swap": _by_tool("mkswap", "-q"),
    "xfs": _head(lambda: b"XFSB".ljust(4096, b"\0")),
    "lvm2": _head(lambda: bytes(512) + b"LABELONE".ljust(24, b"\0") + b"LVM2 001"),
    "btrfs": _head(lambda: bytes(65600) + b"_BHRfS_M"),
    "jfs": _head(lambda: bytes(32768) + b"JFS1"),
    "reiserfs": _head(lambda: bytes(65588) + b"ReIsEr"),
    "bootless-iso": _head(lambda: bytes(16 * BLOCK) + iso(400)[16 * BLOCK :]),
    "tar": _head(lambda: tar(("disk", b"\1" * 5000))),
    "zip": _tail(lambda size: zipped(("disk", b"\1" * 5000))),
    "fixed-vhd": _tail(_fixed_vhd_footer),
}
"""Write a disk of that many bytes to a path: sparse, with something at the start or at the end."""


def convert(source: Path, target: Path, container: str) -> Path:
    """Make `target`, an image of the raw disk `source`."""
    form, *options = CONTAINERS[container]
    words = ["qemu-img", "convert", "-q", "-f", "raw", "-O", form]
    for option in options:
        words += ["-o", option]
    run(*words, source, target)
    return target
