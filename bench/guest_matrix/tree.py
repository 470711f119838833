"""The folder that is packed into every image: what file systems and their readers get wrong."""

from __future__ import annotations

import os
import random
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

MTIME_NS = 1_700_000_000_123_456_789
ODD_BYTES = (
    *(b"new\nline", b"back\\slash", b"not \xff utf-8 \xfe", b"\x01control", b'quote"', b"a:b*c?d<e>f|g"),
    *(b" space ", b"semi;colon"),
)
ODD_TEXT = (" space", "-dash", "Grüße, 世界", "UPPER.TXT", "a.b.c.d")
OTHER_OWNER = (70_000, 80_000)
ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, number)
    for tag, permissions, number in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1234),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)
"""A POSIX access list as the kernel takes it (include/uapi/linux/posix_acl_xattr.h): user 1234 may read."""


class Shape(NamedTuple):
    """What a file system can hold, and how large the tree is."""

    unix: bool = True
    """Links, owners, devices, extended attributes, and names of any bytes."""

    longest_link: int = 1200
    longest_name: int = 255
    hole: int = 64 << 20
    """The size of the file that is one hole with six bytes in it."""

    extents: int = 3000
    folder: int = 3000
    wide: bool = True
    """Characters beyond 16 bits in names."""

    def small(self) -> Shape:
        """The same in a tenth of the size."""
        return self._replace(extents=min(self.extents, 300), folder=min(self.folder, 300), hole=min(self.hole, 9 << 20))


def make_tree(root: Path, shape: Shape) -> Path:
    """Fill a new folder."""
    root.mkdir(parents=True)
    _add_files(root, shape)
    _add_names(root, shape)
    if shape.unix:
        _add_unix_objects(root, shape)
        _add_attributes(root)
    for folder, folders, files in os.walk(os.fsencode(root), topdown=False):
        for number, name in enumerate([*folders, *files]):
            time = MTIME_NS + number * 2_000_000_000
            os.utime(os.path.join(folder, name), ns=(time, time), follow_symlinks=False)
    os.utime(root, ns=(MTIME_NS, MTIME_NS))
    return root


def _add_files(root: Path, shape: Shape) -> None:
    chance = random.Random(17)
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text('ID=example\nVERSION_ID="1"\n')
    for size in (0, 1, 60, 100, 155, 160, 1000, 4095, 4096, 4097, 70_000):
        (root / f"size {size}").write_bytes(chance.randbytes(size))
    (root / "large").write_bytes(chance.randbytes(3 << 20))
    (root / "zeros").write_bytes(bytes(1 << 20))
    (root / "text").write_bytes(b"".join(b"a line of text, number %d\n" % number for number in range(40_000)))
    _write_pieces(root / "hole", [(shape.hole // 2, b"middle")], shape.hole)
    _write_pieces(root / "hole at end", [(0, chance.randbytes(5000))], min(shape.hole, 9 << 20))
    step = 3 * 4096 if shape.unix else 4096
    pieces = [(number * step, chance.randbytes(8) * 512) for number in range(shape.extents)]
    _write_pieces(root / "extents", pieces, shape.extents * step)
    (root / "folder").mkdir()
    for number in range(shape.folder):
        (root / "folder" / f"a rather long name of a file, number {number:06}").write_bytes(b"%d" % number)
    deep = root
    for number in range(40):
        deep = deep / f"level{number}"
        deep.mkdir()
    (deep / "bottom").write_bytes(b"deep")


def _write_pieces(path: Path, pieces: Iterable[tuple[int, bytes]], size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            os.pwrite(file.fileno(), data, offset)


def _add_names(root: Path, shape: Shape) -> None:
    names = [os.fsencode(name) for name in ODD_TEXT]
    names.append(b"x" * shape.longest_name)
    if shape.wide:
        names.append("\N{GRINNING FACE}".encode())
    if shape.unix:
        names += [*ODD_BYTES, b"upper.txt"]
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(b"odd %d" % number)


def _add_unix_objects(root: Path, shape: Shape) -> None:
    for length in (1, 50, 59, 60, 61, 63, 64, 155, 156, 200, 255, 1000, 1023, 1200):
        if length <= shape.longest_link:
            (root / f"link{length}").symlink_to("/".join(["t" * 99] * 13)[:length])
    (root / "broken link").symlink_to("../../no/such/file")
    for number in range(3):
        os.link(root / "large", root / "folder" / f"hard link {number}")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as endpoint:
        folder = os.open(root, os.O_RDONLY)
        try:
            endpoint.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
    (root / "size 1").chmod(0o4755)
    (root / "size 60").chmod(0o2600)
    (root / "size 100").chmod(0)
    (root / "folder").chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(root / "size 4096", *OTHER_OWNER)
        os.chown(root / "link50", *OTHER_OWNER, follow_symlinks=False)
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(259, 300))


def _add_attributes(root: Path) -> None:
    chance = random.Random(18)
    os.setxattr(root / "text", "user.one", b"1")
    os.setxattr(root / "text", "user.empty", b"")
    os.setxattr(root / "text", "user.longer", chance.randbytes(700))
    os.setxattr(root / "size 0", "user.only", b"an attribute of a file without bytes")
    os.setxattr(root / "folder", "user.folder", b"of a folder")
    for number in range(12):
        os.setxattr(root / "size 1000", f"user.number {number:02}", b"value %d" % number)
    if os.geteuid() == 0:
        os.setxattr(root / "text", "security.selinux", b"system_u:object_r:etc_t:s0\0")
        os.setxattr(root / "size 4097", "trusted.overlay.opaque", b"y")
        os.setxattr(root / "size 4097", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
        os.setxattr(root / "size 4095", "system.posix_acl_access", ACCESS_LIST)
