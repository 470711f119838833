"""The superblock of XFS: Documentation/filesystems/xfs and the XFS Algorithms & Data Structures book, "Superblocks"."""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.headers.crc32c import crc32c
from douane_guest.source import Source
from douane_guest.uuids import uuid_text

MAGIC = b"XFSB"
_SIZE = 264
_STRUCT = struct.Struct(">4sI3Q16sQQ16x5I4H12s8B48xH2B3I2BHI2I4I4sI8x8x16s")

_DIRECTORIES_2 = 0x2000
_IGNORE_CASE = 0x4000
_MORE_BITS = 0x8000
_V2_LOG = 0x0400
_FEATURES2_CRC = 0x100
_FEATURES2_FTYPE = 0x200
_FEATURES2_KNOWN = 0x2 | 0x8 | 0x10 | 0x80 | _FEATURES2_CRC | _FEATURES2_FTYPE
_INCOMPAT_FTYPE, _INCOMPAT_META_UUID, _INCOMPAT_NEEDS_REPAIR = 0x1, 0x4, 0x10
_INCOMPAT_KNOWN = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80
"""ftype, sparse inodes, meta_uuid, bigtime, needsrepair, nrext64, exchange-range, parent."""
_INCOMPAT_NAMES = {0x100: "metadir", 0x200: "zoned", 0x400: "zone gaps"}
LOG_INCOMPAT_KNOWN = 0x1
"""Extended attributes that are logged as intents."""


class Superblock(NamedTuple):
    """What is used of it. Sizes in bytes unless they say blocks."""

    version: int
    block_size: int
    block_log: int
    blocks: int
    group_blocks: int
    group_blocks_log: int
    groups: int
    sector_size: int
    inode_size: int
    inodes_per_block_log: int
    inode_alignment: int
    root: int
    realtime_blocks: int
    uuid: bytes
    meta_uuid: bytes
    label: str
    directory_block: int
    has_ftype: bool
    log_start: int
    """A block number as inodes have them; 0: the log is on another device."""

    log_blocks: int
    log_v2: bool
    log_incompat: int
    ignores_case: bool

    @property
    def uuid_text(self) -> str:
        return uuid_text(self.uuid)


def parse(source: Source, *, summed: bool = True) -> Superblock:
    """Read and check it. `summed`: not after the replay of a log, in which sums are not kept.

    Raises Broken, and Unsupported for features that change the structures in unknown ways.
    """
    if source.size < 512 or source.pread(0, 4) != MAGIC:
        raise Broken("there is no XFS superblock")
    (
        _, block_size, blocks, realtime_blocks, _, own_uuid, log_start, root,
        _, group_blocks, groups, _, log_blocks,
        version_bits, sector_size, inode_size, inodes_per_block, label,
        block_log, sector_log, inode_log, inodes_log, group_log, _, in_progress, _,
        _, _, _, inode_alignment, _, _, directory_log, _, _, _,
        features2, bad_features2, _, _, incompat, log_incompat, crc, _, meta_uuid,
    ) = _STRUCT.unpack(source.pread(0, _SIZE))  # fmt: skip
    version = version_bits & 0xF
    if version not in {4, 5}:
        raise Unsupported(f"XFS of version {version} is not read")
    if not 9 <= sector_log <= 15 or sector_size != 1 << sector_log:
        raise Broken(f"the XFS superblock has a sector size of {sector_size}")
    if version == 5:
        if summed:
            _check_sum(source.pread(0, sector_size), crc)
        _check_incompat(incompat)
    else:
        features2 |= bad_features2 if version_bits & _MORE_BITS else 0
        _check_v4(version_bits, features2)
    if in_progress:
        raise Broken("mkfs or growfs of this XFS was not finished")
    superblock = Superblock(
        version=version,
        block_size=block_size,
        block_log=block_log,
        blocks=blocks,
        group_blocks=group_blocks,
        group_blocks_log=group_log,
        groups=groups,
        sector_size=sector_size,
        inode_size=inode_size,
        inodes_per_block_log=inodes_log,
        inode_alignment=inode_alignment,
        root=root,
        realtime_blocks=realtime_blocks,
        uuid=own_uuid,
        meta_uuid=meta_uuid if version == 5 and incompat & _INCOMPAT_META_UUID else own_uuid,
        label=label.rstrip(b"\0").decode(errors="surrogateescape"),
        directory_block=block_size << min(directory_log, 16),
        has_ftype=bool(incompat & _INCOMPAT_FTYPE) if version == 5 else _has_ftype_v4(version_bits, features2),
        log_start=log_start,
        log_blocks=log_blocks,
        log_v2=version == 5 or bool(version_bits & _V2_LOG),
        log_incompat=log_incompat if version == 5 else 0,
        ignores_case=bool(version_bits & _IGNORE_CASE),
    )
    _check_geometry(superblock, inode_log, inodes_per_block)
    if blocks * block_size > source.size:
        raise Broken(f"XFS has {blocks * block_size} bytes, and the volume {source.size}")
    return superblock


def _has_ftype_v4(version_bits: int, features2: int) -> bool:
    return bool(version_bits & _MORE_BITS and features2 & _FEATURES2_FTYPE)


def _check_sum(sector: bytes, crc: bytes) -> None:
    if crc32c(sector[:224] + bytes(4) + sector[228:]) != int.from_bytes(crc, "little"):
        raise Broken("the checksum of the XFS superblock is wrong")


def _check_incompat(incompat: int) -> None:
    unknown = incompat & ~_INCOMPAT_KNOWN
    if unknown:
        names = [_INCOMPAT_NAMES.get(1 << bit, f"bit {bit}") for bit in range(32) if unknown >> bit & 1]
        raise Unsupported(f"this XFS has incompatible features that are not read: {', '.join(names)}")
    if incompat & _INCOMPAT_NEEDS_REPAIR:
        raise Unsupported("this XFS is marked as in need of a repair, which no kernel mounts", "guest-unclean")


def _check_v4(version_bits: int, features2: int) -> None:
    if not version_bits & _DIRECTORIES_2:
        raise Unsupported("XFS with directories of version 1 is not read")
    if version_bits & _MORE_BITS and features2 & ~_FEATURES2_KNOWN:
        raise Unsupported(f"this XFS has features that are not read: {features2 & ~_FEATURES2_KNOWN:#x}")


def _check_geometry(sb: Superblock, inode_log: int, inodes_per_block: int) -> None:
    """The checks of the kernel's mount, as far as they concern what is read."""
    sane = (
        9 <= sb.block_log <= 16
        and sb.block_size == 1 << sb.block_log
        and 8 <= inode_log <= 11
        and sb.inode_size == 1 << inode_log
        and sb.inodes_per_block_log == sb.block_log - inode_log
        and inodes_per_block == 1 << sb.inodes_per_block_log
        and sb.directory_block <= 65536
        and sb.groups >= 1
        and 64 <= sb.group_blocks <= 1 << sb.group_blocks_log
        and sb.group_blocks_log <= 31
        and (sb.groups - 1) * sb.group_blocks < sb.blocks <= sb.groups * sb.group_blocks
        and sb.log_blocks << sb.block_log <= 2 << 30
    )
    if not sane:
        raise Broken("the sizes in the XFS superblock contradict each other")
