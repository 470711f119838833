"""The replay of a log in memory: what a mount would do, on an overlay."""

from __future__ import annotations

import struct

from douane_guest.errors import DAMAGE, Broken, Unsupported, sentence_of
from douane_guest.filesystems.base import Unread

from . import log_inode
from .disk import Disk
from .log_items import Item, Transaction, transactions
from .log_ring import SECTOR, Ring, Span, find_span
from .overlay import Overlay
from .stamps import number_of, stamp_place
from .superblock import LOG_INCOMPAT_KNOWN

_INODE, _BUFFER, _QUOTA, _QUOTA_OFF, _CREATE = 0x123B, 0x123C, 0x123D, 0x123E, 0x123F
_CANCEL, _INODE_BUFFER, _QUOTA_BUFFERS = 0x02, 0x01, 0x1C
_INVISIBLE = {0x1236, 0x1237, 0x1240, 0x1241, 0x1242, 0x1243, 0x124A, 0x124B, 0x124C, 0x124D, 0x124E, 0x124F}
"""Intentions to free blocks, or to change what is known about their owners, and that they are done: no file changes."""

_INTENTS = {0x1244: "to move extents", 0x1246: "to change an extended attribute", 0x1248: "to exchange extents"}
_FINISHED = {0x1245: 0x1244, 0x1247: 0x1246, 0x1249: 0x1248}
_BUFFER_FORMAT = struct.Struct("<HHHHqI")
_CREATE_FORMAT = struct.Struct(">4xIIIIII")
_CHUNK = 128
_FLUSH_MOST = 0xFFFF
_BUFFERED_BYTES = 12 << 20
"""Of transactions that are kept from the first pass to the second one; a log with more is read twice."""


class Replay:
    """Two passes over the committed transactions: which buffers were freed later, then all changes of the others."""

    def __init__(self, disk: Disk, overlay: Overlay) -> None:
        self._disk = disk
        self._overlay = overlay
        self._v5 = disk.superblock.version == 5
        self._cancelled: dict[tuple[int, int], int] = {}
        self._touched: dict[tuple[int, int], None] = {}
        self._lsn = 0
        self.intents: dict[tuple[int, bytes], str] = {}

    def run(self, ring: Ring, span: Span) -> None:
        """Raises Broken or Unsupported if it cannot be done to the end."""
        budget = self._disk.budget
        buffered: list[Transaction] | None = []
        buffered_bytes = 0
        for transaction in transactions(ring, span, budget, summed=self._v5):
            buffered_bytes += transaction.size
            if buffered_bytes > _BUFFERED_BYTES:
                buffered = None
            elif buffered is not None:
                buffered.append(transaction)
            for item in transaction.items():
                if item.type == _BUFFER:
                    flags, key = self._buffer_key(item)
                    if flags & _CANCEL:
                        self._cancelled[key] = self._cancelled.get(key, 0) + 1
        for transaction in transactions(ring, span, budget, summed=self._v5) if buffered is None else buffered:
            if transaction.lsn != self._lsn:
                self._stamp()
                self._lsn = transaction.lsn
            self._apply(transaction)

    def _buffer_key(self, item: Item) -> tuple[int, tuple[int, int]]:
        _, _, flags, length, block, _ = _BUFFER_FORMAT.unpack_from(item.regions[0])
        return flags, (block, length)

    def _apply(self, transaction: Transaction) -> None:
        """In the order of the kernel: buffers and new inodes, then inodes, then what frees buffers."""
        first: list[Item] = []
        then: list[Item] = []
        last: list[Item] = []
        for item in transaction.items():
            if item.type == _BUFFER:
                flags, _ = self._buffer_key(item)
                (last if flags & _CANCEL else first).append(item)
            else:
                (first if item.type == _CREATE else then).append(item)
        for item in [*first, *then, *last]:
            self._apply_item(item)

    def _apply_item(self, item: Item) -> None:
        kind = item.type
        if kind == _BUFFER:
            self._buffer(item)
        elif kind == _INODE:
            self._inode(item)
        elif kind == _CREATE:
            self._create(item)
        elif kind in _INTENTS:
            self.intents[kind, item.regions[0][8:16]] = _INTENTS[kind]
        elif kind in _FINISHED:
            self.intents.pop((_FINISHED[kind], item.regions[0][8:16]), None)
        elif kind not in _INVISIBLE and kind not in {_QUOTA, _QUOTA_OFF}:
            raise Unsupported(f"the log has an item of the unknown type {kind:#x}", "guest-unclean")

    def _buffer(self, item: Item) -> None:
        flags, key = self._buffer_key(item)
        if flags & _CANCEL:
            count = self._cancelled.get(key, 0)
            if count > 1:
                self._cancelled[key] = count - 1
            else:
                self._cancelled.pop(key, None)
            return
        if key in self._cancelled or flags & _INODE_BUFFER:
            return  # of a buffer of inodes, only the list of unlinked inodes is logged
        place, size = key[0] * SECTOR, key[1] * SECTOR
        if flags & _QUOTA_BUFFERS:
            self._overlay.doubt(place, size)  # replayed only if quotas are asked for in the mount
            return
        block = self._overlay.pread(place, size)
        if self._v5:
            number = number_of(block, self._disk.superblock.meta_uuid)
            if number is not None and number >= self._lsn:
                return
            self._touched[key] = None
        self._overlay.write(place, _patched(block, item))

    def _stamp(self) -> None:
        """Buffers are written with the number of the record, before those of the next record are changed."""
        uuid = self._disk.superblock.meta_uuid
        for block, length in self._touched:
            data = self._overlay.pread(block * SECTOR, length * SECTOR)
            place = stamp_place(data, uuid)
            if place is not None:
                self._overlay.write(block * SECTOR + place, self._lsn.to_bytes(8, "big"))
        self._touched.clear()

    def _inode(self, item: Item) -> None:
        fields, block, length, offset, device = _inode_format(item.regions[0])
        if (block, length) in self._cancelled:
            return
        size = self._disk.superblock.inode_size
        if block < 0 or not 0 <= offset <= length * SECTOR - size or len(item.regions) < 2:
            raise Broken("the log has an inode that is not in its buffer")
        place = block * SECTOR + offset
        raw, logged = self._overlay.pread(place, size), item.regions[1]
        if raw[:2] != b"IN":
            raise Broken("the log changes an inode that is none")
        if raw[4] >= 3:
            number = int.from_bytes(raw[112:120], "big")
            if number not in {0, (1 << 64) - 1} and number > self._lsn:
                return
        if not self._v5 and _flushed_later(raw, logged):
            return
        head, tail = log_inode.core_to_disk(logged, self._lsn)
        literal_at = 176 if logged[4] == 3 else 100
        literal = raw[literal_at:]
        if fields & log_inode.DEVICE:
            literal = device[::-1] + literal[4:]
        literal = log_inode.forks_to_disk(literal, logged[82], fields, item.regions[2:], v5=self._v5)
        middle = raw[96:104] if tail else raw[96:100]
        self._overlay.write(place, head + middle + tail + literal)

    def _create(self, item: Item) -> None:
        """New inodes, all free."""
        group, first, count, inode_size, length, generation = _CREATE_FORMAT.unpack_from(item.regions[0])
        sb = self._disk.superblock
        if inode_size != sb.inode_size or count != length << sb.inodes_per_block_log or not 0 < count <= 4096:
            raise Broken("the log creates inodes of impossible sizes")
        place = self._disk.place(group << sb.group_blocks_log | first, length)
        step = self._cluster_blocks() << sb.block_log
        for at in range(place, place + (length << sb.block_log), step):
            if (at // SECTOR, step // SECTOR) in self._cancelled:
                return
        number = ((group << sb.group_blocks_log) | first) << sb.inodes_per_block_log
        for index in range(count):
            raw = bytearray(inode_size)
            raw[:5] = b"IN\0\0\3"
            struct.pack_into(">II", raw, 92, generation, 0xFFFF_FFFF)
            struct.pack_into(">Q16s", raw, 152, number + index, sb.meta_uuid)
            self._overlay.write(place + index * inode_size, bytes(raw))

    def _cluster_blocks(self) -> int:
        """Blocks in one buffer of inodes: 8 KiB, or more for larger inodes if chunks are aligned to it."""
        sb = self._disk.superblock
        size = 8192
        scaled = size * sb.inode_size // 256
        if self._v5 and sb.inode_alignment >= scaled >> sb.block_log:
            size = scaled
        return max(size >> sb.block_log, 1)


def _patched(block: bytes, item: Item) -> bytes:
    """A buffer with the logged pieces of 128 bytes, of which the item has a map."""
    words = _BUFFER_FORMAT.unpack_from(item.regions[0])[5]
    if words > 64 or 20 + words * 4 > len(item.regions[0]):
        raise Broken("the log has a buffer whose map does not fit")
    changed = int.from_bytes(item.regions[0][20 : 20 + words * 4], "little")
    patched = bytearray(block)
    region = bit = 0
    while changed >> bit:
        if not changed >> bit & 1:
            bit += 1
            continue
        run = 1
        while changed >> (bit + run) & 1:
            run += 1
        region += 1
        if region >= len(item.regions):
            raise Broken("the log has a buffer with fewer pieces than its map")
        count = min(run, len(item.regions[region]) // _CHUNK)
        start = bit * _CHUNK
        if not count or start + count * _CHUNK > len(block):
            raise Broken("the log has a piece that is not in its buffer")
        patched[start : start + count * _CHUNK] = item.regions[region][: count * _CHUNK]
        bit += count
    return bytes(patched)


def _inode_format(data: bytes) -> tuple[int, int, int, int, bytes]:
    """Fields, sector and length of the buffer, place in it, and device; of 56 bytes, or of 52 from 32-bit kernels."""
    at = 40 if len(data) >= 56 else 36
    block, length, offset = struct.unpack_from("<qii", data, at)
    return int.from_bytes(data[4:8], "little"), block, length, offset, data[at - 16 : at - 12]


def _flushed_later(raw: bytes, logged: bytes) -> bool:
    """True if the inode on the disk is newer, by the counter that version 4 has for that."""
    on_disk, in_log = int.from_bytes(raw[30:32], "big"), int.from_bytes(logged[30:32], "little")
    return in_log < on_disk and not (on_disk == _FLUSH_MOST and in_log < _FLUSH_MOST >> 1)


def replayed(disk: Disk) -> tuple[Overlay | None, bool, list[Unread]]:
    """The disk with the changes of its log, or None if there are none; if it was clean; and what cannot be told."""
    sb = disk.superblock
    if not sb.log_start:
        return None, False, [_unclean("it is on another device, so nothing tells if it has changes")]
    if not sb.log_blocks:
        return None, False, [_unclean("it has no blocks")]
    overlay = Overlay(disk.source)
    clean = False
    try:
        place = disk.place(sb.log_start, sb.log_blocks)
        sectors = sb.log_blocks << sb.block_log >> 9
        ring = Ring(disk.source, place, sectors, v2=sb.log_v2, uuid=sb.uuid, budget=disk.budget)
        span = find_span(ring)
        clean = span.clean
        if clean:
            return None, True, []
        if sb.log_incompat & ~LOG_INCOMPAT_KNOWN:
            raise Unsupported(f"it has features that are not read: {sb.log_incompat:#x}")
        replay = Replay(disk, overlay)
        replay.run(ring, span)
    except (Broken, Unsupported) as error:
        return None, clean, [_unclean(error.why)]
    except DAMAGE as error:
        return None, clean, [_unclean(sentence_of(error))]
    waiting = sorted(set(replay.intents.values()))
    return overlay, False, [_unclean(f"it has intentions {what} that were not finished") for what in waiting]


def _unclean(why: str) -> Unread:
    return Unread("log", "guest-unclean", f"the log was not replayed in full: {why}")
