"""A folder with everything that file systems get wrong; what is in a folder, and what is in a file system."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path
from typing import NamedTuple

from douane_guest.filesystems.base import FILE, FOLDER, KINDS, LINK, FileSystem

MTIME_NS = 1_700_000_000_123_456_789


class Facts(NamedTuple):
    """What is compared of a file. Fields that a file system does not have are None on both sides."""

    kind: str
    mode: int | None
    uid: int | None
    gid: int | None
    size: int | None
    mtime_ns: int | None
    target: bytes | None
    sha256: str | None


def make_tree(root: Path, *, names: str = "bytes", extents: int = 300, folder_size: int = 1000) -> None:
    """Fill a folder: holes, many extents, odd names (`names`: "bytes", or "unicode" where names are UTF-16), links, a
    big folder, a deep one, hard links, set-id bits, and devices if we are root."""
    chance = random.Random(17)
    root.mkdir(parents=True, exist_ok=True)
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text('ID=example\nVERSION_ID="1"\n')
    (root / "empty").write_bytes(b"")
    (root / "one").write_bytes(b"1")
    (root / "small").write_bytes(chance.randbytes(60))
    (root / "inline").write_bytes(chance.randbytes(100))
    (root / "page").write_bytes(chance.randbytes(4096))
    (root / "large").write_bytes(chance.randbytes(3 << 20))
    (root / "zeros").write_bytes(bytes(1 << 20))
    (root / "text").write_bytes(b"the same line, which can be compressed\n" * 40_000)
    with (root / "hole").open("wb") as file:
        file.truncate(5 << 20)
        os.pwrite(file.fileno(), b"middle", 5 << 19)
    with (root / "hole at end").open("wb") as file:
        file.write(chance.randbytes(5000))
        file.truncate(2 << 20)
    with (root / "extents").open("wb") as file:
        for number in range(extents):
            os.pwrite(file.fileno(), chance.randbytes(4096), number * 3 * 4096)
    big = root / "folder"
    big.mkdir()
    for number in range(folder_size):
        (big / f"a rather long name of a file, number {number:06}").write_bytes(b"%d" % number)
    deep = root
    for number in range(40):
        deep = deep / f"level{number}"
        deep.mkdir()
    (deep / "bottom").write_bytes(b"deep")
    odd = [b"new\nline", b" space ", b"back\\slash", b"-dash", b"x" * 255, "Grüße, 世界".encode()]
    if names == "bytes":
        odd += [b"not \xff utf-8 \xfe", b"\x01control", b'quote"', b"a:b*c?d<e>f|g"]
    else:
        odd = [b" space", b"-dash", b"x" * 255, "Grüße, 世界".encode(), "\N{GRINNING FACE}".encode()]
    for number, name in enumerate(odd):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(b"odd %d" % number)
    if names == "bytes":
        add_unix_objects(root)
    for folder, folders, files in os.walk(os.fsencode(root), topdown=False):
        for name in [*folders, *files]:
            os.utime(os.path.join(folder, name), ns=(MTIME_NS, MTIME_NS), follow_symlinks=False)
    os.utime(root, ns=(MTIME_NS, MTIME_NS))


def add_unix_objects(root: Path) -> None:
    """Links, hard links, a fifo, modes, and with root's rights owners and devices."""
    for length in (1, 50, 59, 60, 61, 63, 64, 155, 156, 1000, 1023):
        (root / f"link{length}").symlink_to("t" * length if length < 256 else "/".join(["t" * 99] * 11)[:length])
    os.link(root / "large", root / "hard link")
    os.mkfifo(root / "fifo")
    (root / "one").chmod(0o4755)
    (root / "small").chmod(0o2600)
    (root / "folder").chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(root / "page", 70_000, 80_000)
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "block", stat.S_IFBLK | 0o600, os.makedev(259, 300))


def truth(root: Path) -> dict[bytes, Facts]:
    """What the kernel shows below a folder, by path without a leading slash; the folder itself is ``b""``."""
    found: dict[bytes, Facts] = {}
    top = os.fsencode(root)
    for folder, folders, files in os.walk(top):
        for path in [folder] if folder == top else []:
            found[b""] = facts_of(path)
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = facts_of(path)
    return found


def facts_of(path: bytes) -> Facts:
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    digest = None
    if kind == FILE:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Facts(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == FILE else None,
        mtime_ns=status.st_mtime_ns,
        target=os.readlink(path) if kind == LINK else None,
        sha256=digest,
    )


def listing(system: FileSystem) -> dict[bytes, Facts]:
    """What a reader shows: the same as `truth` does of the folder from which the file system was made."""
    found: dict[bytes, Facts] = {}
    waiting = [(b"", system.root)]
    while waiting:
        path, ref = waiting.pop()
        node = system.node(ref)
        assert path not in found, f"twice: {path!r}"
        found[path] = Facts(
            kind=node.kind,
            mode=node.mode,
            uid=node.uid,
            gid=node.gid,
            size=node.size if node.kind == FILE else None,
            mtime_ns=node.mtime_ns,
            target=system.target(node) if node.kind == LINK else None,
            sha256=digest_of(system, node) if node.kind == FILE else None,
        )
        if node.kind == FOLDER:
            waiting += [(os.path.join(path, entry.name), entry.ref) for entry in system.entries(node)]
    return found


def digest_of(system: FileSystem, node) -> str:
    """The sha256 of a file, holes as zeros."""
    digest = hashlib.sha256()
    position = 0
    for offset, data in system.chunks(node):
        assert offset >= position, "pieces ascend"
        assert data, "no piece is empty"
        add_zeros(digest, offset - position)
        digest.update(data)
        position = offset + len(data)
    assert position <= node.size
    add_zeros(digest, node.size - position)
    return digest.hexdigest()


def add_zeros(digest, count: int) -> None:
    block = bytes(1 << 20)
    while count > 0:
        digest.update(block[: min(count, len(block))])
        count -= len(block)


def without(facts: dict[bytes, Facts], *fields: str, drop: tuple[bytes, ...] = ()) -> dict[bytes, Facts]:
    """The same without fields that a file system has not, and without paths such as ``lost+found``."""
    empty = dict.fromkeys(fields)
    return {path: fact._replace(**empty) for path, fact in facts.items() if path not in drop}
