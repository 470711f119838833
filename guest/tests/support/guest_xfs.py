"""Stored images of XFS, changes of them, and their logs."""

from __future__ import annotations

import struct
from pathlib import Path

from sparse_images import SparseSource

from douane_guest.budget import Budget
from douane_guest.filesystems import xfs
from douane_guest.filesystems.xfs.log_ring import Ring, find_span
from douane_guest.headers.crc32c import crc32c

DATA = Path(__file__).parent.parent / "data/xfs"
SMALL = {"TEST_DIR": "/", "TEST_DEV": "/", "QA_CHECK_FS": "1"}
"""With these, mkfs.xfs makes file systems below 300 MB, whose logs take no time to write."""

STEPS = 2_000_000


def opened(source) -> xfs.Xfs:
    return xfs.open(source, Budget(steps=STEPS))


def find(system: xfs.Xfs, path: str):
    node = system.node(system.root)
    for name in path.encode().split(b"/"):
        node = system.node(next(entry.ref for entry in system.entries(node) if entry.name == name))
    return node


def changed(source: SparseSource, *changes: tuple[int, bytes]) -> SparseSource:
    """The image with other bytes at some places, which do not cross blocks."""
    blocks = dict(source.blocks)
    for place, data in changes:
        number, within = divmod(place, 4096)
        block = blocks.get(number, bytes(4096))
        blocks[number] = block[:within] + data + block[within + len(data) :]
    return SparseSource(source.size, blocks)


def with_superblock(source: SparseSource, place: int, data: bytes) -> SparseSource:
    """The same with a changed superblock whose checksum is right."""
    altered = changed(source, (place, data))
    sector = altered.pread(0, 512)
    return changed(altered, (224, crc32c(sector[:224] + bytes(4) + sector[228:]).to_bytes(4, "little")))


def ring_of(source: SparseSource) -> tuple[Ring, int]:
    """The log of the image `small`, and where it begins."""
    (start,) = struct.unpack(">Q", source.pread(48, 8))
    (group_blocks,) = struct.unpack(">I", source.pread(84, 4))
    (blocks,) = struct.unpack(">I", source.pread(96, 4))
    log = source.pread(124, 1)[0]
    place = ((start >> log) * group_blocks + (start & ((1 << log) - 1))) * 1024
    return Ring(source, place, blocks * 2, v2=True, uuid=source.pread(32, 16), budget=Budget()), place


def records_of(source: SparseSource) -> tuple[list, int]:
    """The records that a replay reads."""
    ring, place = ring_of(source)
    span = find_span(ring)
    records = []
    at = span.tail
    while at != span.head:
        records.append(ring.record(at))
        at += records[-1].sectors
    return records, place


def without_log(source: SparseSource) -> SparseSource:
    """The same with a log that was never written."""
    ring, place = ring_of(source)
    blocks = dict(source.blocks)
    for number in range(place // 4096, (place + ring.sectors * 512) // 4096):
        blocks.pop(number, None)
    return SparseSource(source.size, blocks)
