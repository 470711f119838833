"""What is compared of a file: as the kernel shows it, or the packed tree has it, and as douane-guest reads it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from douane_guest.errors import GuestError
from douane_guest.filesystems.base import BLOCK, CHAR, FILE, FOLDER, KINDS, LINK
from douane_guest.guest import Guest
from douane_guest.volume import Volume

MAX_LISTED = 8
"""Differences of a cell that are printed."""
MISSING = "missing"
NUMBERED = (0x02, 0x08)
"""Tags of entries of access lists for one user or one group (linux/posix_acl.h)."""


class Facts(NamedTuple):
    """Of one path. Fields that a file system does not have are None on both sides."""

    kind: str
    mode: int | None
    uid: int | None
    gid: int | None
    size: int | None
    mtime_ns: int | None
    link: bytes | None
    device: tuple[int, int] | None
    same_as: bytes | None
    """The first of all paths of the same object."""

    xattrs: tuple[tuple[bytes, bytes], ...] | None
    sha256: str | None


Xattrs = tuple[tuple[bytes, bytes], ...]
Listing = dict[bytes, Facts]


class Reading(NamedTuple):
    """What douane-guest says of an image."""

    listing: Listing
    """Of its only volume; empty if it has not just one."""

    volumes: list[str]
    unread: list[str]


def facts_of_folder(root: os.PathLike[str] | str) -> Listing:
    """What the kernel shows below a folder, by path without a leading slash; the folder itself is ``b""``."""
    top = os.fsencode(root)
    listing = {path: _facts_of_path(os.path.join(top, path) if path else top) for path in _paths(top)}
    first: dict[tuple[int, int], bytes] = {}
    for path in sorted(listing):
        status = os.lstat(os.path.join(top, path))
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            key = (status.st_dev, status.st_ino)
            listing[path] = listing[path]._replace(same_as=first.setdefault(key, path))
    return listing


def _paths(top: bytes) -> Iterator[bytes]:
    yield b""
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            yield os.path.relpath(os.path.join(folder, name), top)


def _facts_of_path(path: bytes) -> Facts:
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    digest = None
    if kind == FILE:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        names = [os.fsencode(name) for name in os.listxattr(path, follow_symlinks=False)]
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        names = []
    return Facts(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == FILE else None,
        mtime_ns=status.st_mtime_ns,
        link=os.readlink(path) if kind == LINK else None,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in (CHAR, BLOCK) else None,
        same_as=None,
        xattrs=tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)),
        sha256=digest,
    )


def facts_of_guest(guest: Guest, kind: str = "") -> Reading:
    """The only volume of a guest, or the only one that is meant by its file system, or by its place and file system.
    A difference in the number of volumes is one in `volumes`."""
    candidates = [volume for volume in guest.volumes if kind in ("", volume.filesystem, words_of(volume))]
    volumes = [words_of(volume) for volume in candidates]
    listing = facts_of_volume(guest, candidates[0]) if len(candidates) == 1 else {}
    return Reading(listing, volumes, [f"{part.where}: {part.code}: {part.why}" for part in guest.unread])


def words_of(volume: Volume) -> str:
    """Its place and its file system."""
    return f"{volume.name} {volume.filesystem}"


def facts_of_volume(guest: Guest, volume: Volume) -> Listing:
    listing: Listing = {}
    paths_of: dict[object, list[bytes]] = {}
    for place in volume.walk():
        node = place.node
        if node.kind != FOLDER and node.links > 1:
            paths_of.setdefault(node.ref, []).append(place.path)
        try:
            listing[place.path] = Facts(
                kind=node.kind,
                mode=node.mode,
                uid=node.uid,
                gid=node.gid,
                size=node.size if node.kind == FILE else None,
                mtime_ns=node.mtime_ns,
                link=volume.target(node) if node.kind == LINK else None,
                device=node.device if node.kind in (CHAR, BLOCK) else None,
                same_as=None,
                xattrs=tuple(sorted(volume.system.xattrs(node).items())),
                sha256=volume.open_node(node).sha256() if node.kind == FILE else None,
            )
        except GuestError as error:
            guest.unread.add_error(volume.place(place.path), error)
    for paths in paths_of.values():
        for path in paths:
            if path in listing:
                listing[path] = listing[path]._replace(same_as=min(paths))
    return listing


def comparable(listing: Listing, lacks: Collection[str] = (), step_ns: int = 1) -> Listing:
    """The listing without the fields that a file system has not, and with times as coarse as it keeps them."""
    empty: dict[str, None] = dict.fromkeys(field for field in lacks if field in Facts._fields)
    result = {}
    for path, fact in listing.items():
        coarse = fact._replace(mtime_ns=None if fact.mtime_ns is None else fact.mtime_ns // step_ns)
        if fact.kind == FOLDER and "mtime_ns of folders" in lacks:
            coarse = coarse._replace(mtime_ns=None)
        if fact.mode is not None and "sticky bit" in lacks:
            coarse = coarse._replace(mode=fact.mode & ~0o1000)
        if fact.xattrs is not None:
            coarse = coarse._replace(xattrs=_plain(fact.xattrs, without_lists="access lists" in lacks))
        result[path] = coarse._replace(**empty)  # type: ignore[arg-type]
    return result


def _plain(xattrs: Xattrs, *, without_lists: bool) -> Xattrs:
    """Access lists without the numbers of entries that have none, where file systems keep anything; or without lists.
    XFS shows them by a second name."""
    plain = []
    for name, value in xattrs:
        if name.startswith(b"trusted.SGI_ACL_"):
            continue
        if not name.startswith(b"system.posix_acl_"):
            plain.append((name, value))
        elif not without_lists:
            entries = struct.iter_unpack("<HHI", value[4:])
            plain.append(
                (name, repr([(tag, bits, number * (tag in NUMBERED)) for tag, bits, number in entries]).encode())
            )
    return tuple(plain)


def differences(expected: Listing, listing: Listing) -> list[str]:
    """A line for each path that is missing, not expected, or has another fact."""
    lines = []
    for path in sorted(expected.keys() | listing.keys()):
        if path not in listing:
            lines.append(f"{MISSING}: {_short(path)}")
        elif path not in expected:
            lines.append(f"not expected: {_short(path)}")
        elif expected[path] != listing[path]:
            lines += [
                f"{_short(path)}: {field} is {_short(value)} and should be {_short(right)}"
                for field, right, value in zip(Facts._fields, expected[path], listing[path], strict=True)
                if right != value
            ]
    return lines


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"
