"""The superblock, at 64 KiB: btrfs on-disk format, https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html.

The kernel mounts by the first superblock alone and never by its copies, so that it is the only one that is read here as
well: a copy with a later generation, or for which the first one is damaged, is not what the guest sees.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source
from douane_guest.uuids import uuid_text

from .checksum import BLOCK_CHECKSUMS, checksum

OFFSET = 64 << 10
SIZE = 4096
MAGIC = b"_BHRfS_M"
_MAGIC_OFFSET = 0x40
_COPIES = (64 << 20, 256 << 30)
_FIELDS = struct.Struct("<32s16sQQ8sQQQQQQQQQIIIIIQQQQHBBB")
_DEVICE = struct.Struct("<QQQ")
_DEVICE_OFFSET = 0xC9
_LABEL = slice(0x12B, 0x22B)
_METADATA_UUID = slice(0x23B, 0x24B)
_CHUNKS_OFFSET = 0x32B
_CHUNKS_MAX = 2048
_SIZES = tuple(1 << power for power in range(12, 17))
MAX_LEVEL = 7

_METADATA_UUID_FEATURE = 1 << 10
_READ = sum(1 << bit for bit in (*range(12), 16))
"""Incompatible features that change nothing here, or that are read: all up to RAID1C34, and simple quotas."""
_NO_HOLES = 1 << 9
_NOT_READ = {
    1 << 12: ("zones", "guest-unknown"),
    1 << 13: ("the second version of the extent tree", "guest-unknown"),
    1 << 14: ("the tree of RAID stripes", "guest-unknown"),
    1 << 15: ("encryption", "guest-encrypted"),
}
_UNFINISHED = sum(1 << bit for bit in (33, 34, 35, 36, 38, 39, 40))
"""Flags of images of metadata alone, and of conversions that were interrupted."""


class Superblock(NamedTuple):
    """What is used of it."""

    uuid: str
    label: str
    node_uuid: bytes
    """The one that is in every node: not the visible one if that was changed later."""

    generation: int
    root: int
    root_level: int
    chunk_root: int
    chunk_root_level: int
    chunk_root_generation: int
    log_root: int
    log_root_level: int
    root_folder: int
    devices: int
    device: int
    device_size: int
    sector_size: int
    node_size: int
    checksum_type: int
    has_no_holes: bool
    system_chunks: bytes


def probe(source: Source) -> bool:
    """See `base.Opener`."""
    if source.size < OFFSET + SIZE:
        return False
    return source.pread(OFFSET + _MAGIC_OFFSET, len(MAGIC)) == MAGIC


def read_superblock(source: Source) -> Superblock:
    """The first superblock. Raises Unsupported for a feature that is not read."""
    data = source.pread(OFFSET, SIZE)
    fields = _FIELDS.unpack_from(data)
    (stored, fsid, address, flags, magic, generation, root, chunk_root, log_root, _, _, _, root_folder, devices) = (
        fields[:14]
    )
    (sector_size, node_size, _, _, chunks_size, chunk_generation, _, _, incompatible, checksum_type) = fields[14:24]
    if magic != MAGIC:
        raise Broken("the superblock has not the magic number of btrfs")
    if checksum_type not in BLOCK_CHECKSUMS:
        raise Unsupported(f"checksums of type {checksum_type} are not known")
    if not stored.startswith(checksum(checksum_type, data[32:])):
        raise Broken("the checksum of the superblock is wrong")
    if address != OFFSET:
        raise Broken(f"the superblock says that it belongs to byte {address}")
    _check_features(incompatible, flags)
    if node_size not in _SIZES or sector_size not in _SIZES or sector_size > node_size:
        raise Broken(f"nodes have {node_size} bytes and sectors {sector_size}")
    if chunks_size > _CHUNKS_MAX:
        raise Broken(f"the system chunks of the superblock have {chunks_size} bytes")
    levels = fields[24:27]
    if max(levels) > MAX_LEVEL:
        raise Broken(f"a tree has {max(levels)} levels")
    device, device_size, _ = _DEVICE.unpack_from(data, _DEVICE_OFFSET)
    if device_size > source.size:
        raise Broken(f"the device has {device_size} bytes, and there are {source.size}")
    _check_copies(source, fsid, generation)
    return Superblock(
        uuid=uuid_text(fsid),
        label=data[_LABEL].split(b"\0", 1)[0].decode("utf-8", "surrogateescape"),
        node_uuid=data[_METADATA_UUID] if incompatible & _METADATA_UUID_FEATURE else fsid,
        generation=generation,
        root=root,
        root_level=levels[0],
        chunk_root=chunk_root,
        chunk_root_level=levels[1],
        chunk_root_generation=chunk_generation,
        log_root=log_root,
        log_root_level=levels[2],
        root_folder=root_folder,
        devices=devices,
        device=device,
        device_size=device_size,
        sector_size=sector_size,
        node_size=node_size,
        checksum_type=checksum_type,
        has_no_holes=bool(incompatible & _NO_HOLES),
        system_chunks=data[_CHUNKS_OFFSET : _CHUNKS_OFFSET + chunks_size],
    )


def _check_features(incompatible: int, flags: int) -> None:
    for bit, (feature, code) in _NOT_READ.items():
        if incompatible & bit:
            raise Unsupported(f"btrfs with {feature} is not read", code)
    if incompatible & ~_READ:
        raise Unsupported(f"btrfs with the unknown features {incompatible & ~_READ:#x} is not read")
    if flags & _UNFINISHED:
        raise Unsupported(f"a conversion is unfinished, or the image has no data: flags {flags:#x}", "guest-unclean")


def _check_copies(source: Source, fsid: bytes, generation: int) -> None:
    """Copies are written after the first superblock: one that is later contradicts it."""
    for offset in _COPIES:
        if offset + SIZE > source.size:
            continue
        data = source.pread(offset, 0x50)
        if data[_MAGIC_OFFSET:0x48] == MAGIC and data[0x20:0x30] == fsid:
            later = int.from_bytes(data[0x48:0x50], "little")
            if later > generation:
                raise Broken(f"a copy of the superblock has generation {later}, the first one {generation}")
