"""XFS: the features of xfsprogs 6.1 (mkfs.xfs(8)), filled by the kernel; version 4 by a prototype file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from douane_guest.filesystems.base import SOCKET

from .facts import Facts
from .opinions import XFS
from .recipe import Recipe, by_kernel
from .second_kernel import Mount, by_second_kernel
from .tree import Shape
from .workshop import MEBIBYTE, empty_file, run

SIZE = 320
BY_PROTOTYPE = {
    "version 5, filled by mkfs.xfs": "",
    "version 5, names without case in ASCII, two of them equal": "-n version=ci",
}
SHAPE = Shape(longest_link=1023)
LONGEST_LINK = 255
"""mkfs.xfs 6.1 writes longer ones without the header of version 5; the kernel refuses these as well."""
FEATURES = {
    "": "",
    "nrext64": "-i nrext64=1",
    "without bigtime": "-m bigtime=0",
    "without reflink": "-m reflink=0",
    "rmapbt": "-m rmapbt=1",
    "without finobt": "-m finobt=0,inobtcount=0",
    "without inobtcount": "-m inobtcount=0",
    "without sparse inodes": "-i sparse=0",
    "as Fedora and RHEL 10": "-m bigtime=1,inobtcount=1,reflink=1,rmapbt=1 -i sparse=1,nrext64=1",
    "as RHEL 8": "-m bigtime=0,inobtcount=0,reflink=1,rmapbt=0 -i sparse=1,nrext64=0",
    "as RHEL 7.5": "-m bigtime=0,inobtcount=0,reflink=0,rmapbt=0,finobt=1 -i sparse=0,nrext64=0",
    "blocks of 1024": "-b size=1024",
    "blocks of 2048": "-b size=2048",
    "sectors of 4096": "-s size=4096",
    "folders in blocks of 8 KiB": "-n size=8192",
    "folders in blocks of 16 KiB": "-n size=16384",
    "folders in blocks of 64 KiB": "-n size=65536",
    "inodes of 1024": "-i size=1024",
    "inodes of 2048": "-i size=2048",
    "blocks of 1024, folders in blocks of 64 KiB, inodes of 512": "-b size=1024 -n size=65536 -i size=512",
    "2 groups": "-d agcount=2 -l size=64m",
    "log of 64 MiB": "-l size=64m,sunit=8",
    "log of version 2 with units": "-l su=32k",
    "aligned to stripes": "-d su=64k,sw=4,agcount=2 -l size=64m",
}
OLD = {
    "version 4": "-m crc=0,finobt=0,reflink=0,inobtcount=0,bigtime=0 -i sparse=0,nrext64=0",
    "version 4, finobt": "-m crc=0,finobt=0 -i size=256,sparse=0 -n ftype=1",
    "version 4, no kinds in folders": "-m crc=0,finobt=0 -i sparse=0 -n ftype=0",
    "version 4, blocks of 512": "-m crc=0,finobt=0 -b size=512 -i size=256,sparse=0",
    "version 4, attributes of version 1, log of version 1": "-m crc=0,finobt=0 -i attr=1,sparse=0 -l version=1",
}


def recipes() -> Iterator[Recipe]:
    """All of them."""
    for name, options in FEATURES.items():
        make = ("mkfs.xfs", "-q", "-f", *options.split())
        title = f"xfs {name}".strip()
        yield Recipe(title, "xfs v5", by_kernel("xfs", "", *make, size=SIZE), SHAPE, mount=("xfs", ""))
    for name in ("version 4", "version 4, no kinds in folders"):
        make = ("mkfs.xfs", "-q", "-f", *OLD[name].split())
        build = by_second_kernel(Mount("xfs"), *make, size=SIZE)
        title = f"xfs {name}, filled by the second kernel"
        yield Recipe(title, "xfs v4", build, SHAPE, opinions=(XFS,), keeps=lambda path, fact: fact.kind != SOCKET)
    for name, options in (BY_PROTOTYPE | OLD).items():
        yield Recipe(
            f"xfs {name}",
            "xfs v4" if name in OLD else "xfs v5",
            partial(by_prototype, options=options),
            Shape(longest_link=1023 if name in OLD else LONGEST_LINK, longest_name=200),
            mount=None if name in OLD else ("xfs", ""),
            opinions=(XFS,) if name in OLD else (),
            lacks=frozenset({"mtime_ns", "xattrs", "same_as", "sticky bit"}),
            keeps=_is_named,
            is_unread="two of them equal" in name,
        )


def _is_named(path: bytes, fact: Facts) -> bool:
    """True for what a prototype file can name: no blanks, no sockets."""
    return fact.kind != SOCKET and not any(letter.isspace() for letter in os.fsdecode(path))


def by_prototype(tree: Path, image: Path, options: str) -> None:
    """By mkfs.xfs alone, from a prototype file: for file systems that the kernel does not fill."""
    lines = ["/", "0 0", *_of_folder(tree, os.lstat(tree), ""), "$"]
    prototype = image.with_name("prototype")
    prototype.write_bytes(b"\n".join(map(os.fsencode, lines)) + b"\n")
    empty_file(image, SIZE * MEBIBYTE)
    run("mkfs.xfs", "-q", "-f", *options.split(), "-p", prototype, image)


def _of_folder(folder: Path, status: os.stat_result, name: str) -> Iterator[str]:
    yield f"{name} {_mode('d', status)} {status.st_uid} {status.st_gid}".strip()
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        yield from _of_entry(entry)
    if name:
        yield "$"


def _of_entry(entry: os.DirEntry[str]) -> Iterator[str]:
    """Nothing for what a prototype file cannot name: blanks, and sockets."""
    status = entry.stat(follow_symlinks=False)
    if any(letter.isspace() for letter in entry.name):
        return
    owners = f"{status.st_uid} {status.st_gid}"
    if entry.is_symlink():
        yield f"{entry.name} {_mode('l', status)} {owners} {os.readlink(entry.path)}"
    elif entry.is_dir():
        yield from _of_folder(Path(entry.path), status, entry.name)
    elif entry.is_file():
        yield f"{entry.name} {_mode('-', status)} {owners} {entry.path}"
    elif stat.S_ISFIFO(status.st_mode):
        yield f"{entry.name} {_mode('p', status)} {owners}"
    elif not stat.S_ISSOCK(status.st_mode):
        letter = "c" if stat.S_ISCHR(status.st_mode) else "b"
        yield f"{entry.name} {_mode(letter, status)} {owners} {os.major(status.st_rdev)} {os.minor(status.st_rdev)}"


def _mode(letter: str, status: os.stat_result) -> str:
    set_user = "u" if status.st_mode & stat.S_ISUID else "-"
    set_group = "g" if status.st_mode & stat.S_ISGID else "-"
    return f"{letter}{set_user}{set_group}{status.st_mode & 0o777:03o}"
