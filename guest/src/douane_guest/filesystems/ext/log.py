"""The journal of ext3 and ext4 as a file (jbd2, big-endian): its superblock, its blocks, its checksums.

Source: the kernel's Documentation/filesystems/ext4/journal.rst, and what Linux 6 does where it is silent.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from typing import NamedTuple

from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.headers.crc32c import crc32c_raw
from douane_guest.source import Source

from .mapping import Run

MAGIC = bytes.fromhex("c03b3998")
DESCRIPTOR, COMMIT, SUPERBLOCK_1, SUPERBLOCK_2, REVOKE = 1, 2, 3, 4, 5
CHECKSUM_1 = 0x1
"""The one feature that may be ignored ("compat"): a checksum of all blocks of a transaction, in its commit block."""
BIT64, ASYNC_COMMIT, CHECKSUM_2, CHECKSUM_3, FAST_COMMIT = 0x2, 0x4, 0x8, 0x10, 0x20
KNOWN_FEATURES = 0x3F
HEADER = struct.Struct(">III")
FIELDS = struct.Struct(">12x5I4xIII16s")
CRC32C = 4
DEFAULT_FAST_BLOCKS = 256
SMALLEST = 1024
"""Blocks that a journal has at least, without those of its fast commits."""
MAX_RUNS = 65_536
"""Pieces of the journal; mke2fs makes a handful."""
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class Header(NamedTuple):
    """The journal's superblock."""

    length: int
    """In blocks, with those of fast commits."""

    first: int
    last: int
    """The log is a ring of the blocks [first, last)."""

    sequence: int
    start: int
    """Where the oldest transaction begins, and its number; 0: the journal is empty."""

    compat: int
    incompat: int
    seed: int
    """Of the checksums."""

    @property
    def checksums(self) -> bool:
        """True if each block of the journal has a checksum."""
        return bool(self.incompat & (CHECKSUM_2 | CHECKSUM_3))

    @property
    def tag_size(self) -> int:
        """How long the record of a block is, without the uuid that may follow."""
        if self.incompat & CHECKSUM_3:
            return 16
        return 8 + (2 if self.incompat & CHECKSUM_2 else 0) + (4 if self.incompat & BIT64 else 0)


class Log:
    """The blocks of a journal by their number in it."""

    def __init__(self, source: Source, block_size: int, runs: list[Run]) -> None:
        if len(runs) > MAX_RUNS:
            raise TooMuch(f"the journal has more than {MAX_RUNS} pieces")
        self.block_size = block_size
        self._source = source
        self._runs = runs
        self._starts = [run.logical for run in runs]

    def place(self, number: int) -> int:
        """The byte of the disk at which a block begins."""
        index = bisect_right(self._starts, number) - 1
        run = self._runs[index] if index >= 0 else None
        if run is None or number >= run.logical + run.length:
            raise Broken(f"the journal has no block {number}")
        return (run.physical + number - run.logical) * self.block_size

    def read(self, number: int) -> bytes:
        """A block of the journal."""
        return self._source.pread(self.place(number), self.block_size)


def read_header(log: Log, blocks: int) -> Header:
    """Read and check the superblock of a journal that has `blocks` blocks. Raises Broken and Unsupported."""
    data = log.read(0)
    magic, kind, _ = HEADER.unpack_from(data)
    if magic.to_bytes(4, "big") != MAGIC or kind not in (SUPERBLOCK_1, SUPERBLOCK_2):
        raise Broken("the journal has no superblock")
    size, length, first, sequence, start, compat, incompat, ro_compat, uuid = FIELDS.unpack_from(data)
    if kind == SUPERBLOCK_1:
        compat = incompat = ro_compat = 0
    if incompat & ~KNOWN_FEATURES or ro_compat:
        unknown = incompat & ~KNOWN_FEATURES
        raise Unsupported(f"the journal has the features {unknown:#x} and {ro_compat:#x}", "guest-unclean")
    if incompat & CHECKSUM_2 and incompat & CHECKSUM_3:
        raise Broken("the journal has checksums of two kinds")
    if incompat & (CHECKSUM_2 | CHECKSUM_3) and (
        data[0x50] != CRC32C or crc32c_raw(data[:0xFC] + bytes(4) + data[0x100:1024]) != be32(data, 0xFC)
    ):
        raise Broken("the checksum of the journal's superblock is wrong")
    last = length
    if incompat & FAST_COMMIT:
        fast = be32(data, 0x54) or DEFAULT_FAST_BLOCKS
        if length - fast >= SMALLEST:
            last = length - fast
    if size != log.block_size or length > blocks or not 0 < first < last:
        raise Broken("the superblock of the journal contradicts the journal")
    if start and not first <= start < last:
        raise Broken("the journal begins outside of itself")
    return Header(length, first, last, sequence, start, compat, incompat, crc32c_raw(uuid))


def be32(data: bytes, place: int) -> int:
    """Four bytes, big-endian."""
    return int.from_bytes(data[place : place + 4], "big")


def tail_is_right(header: Header, data: bytes) -> bool:
    """True if a descriptor or revoke block ends with its checksum, or needs none."""
    return not header.checksums or crc32c_raw(data[:-4] + bytes(4), header.seed) == be32(data, len(data) - 4)


def commit_is_right(header: Header, data: bytes) -> bool:
    """True if a commit block has its checksum, or needs none. Only its fields may have reached the disk."""
    if not header.checksums:
        return True
    fields = data[:16] + bytes(4) + data[20:60]
    checksum = be32(data, 16)
    return any(crc32c_raw(fields + rest, header.seed) == checksum for rest in (data[60:], bytes(len(data) - 60)))


def transaction_is_right(data: bytes, total: int) -> bool:
    """True if a commit block (of the oldest kind of checksums) has the checksum of its transaction, or none."""
    checksum, kind = be32(data, 16), data[12:14]
    return (kind == b"\1\4" and checksum == reverse(total)) or (kind == b"\0\0" and not checksum)


def add_block(total: int, data: bytes) -> int:
    """Go on with a CRC-32 whose bits run from the highest to the lowest, other than those of zlib."""
    return ~zlib.crc32(data.translate(REVERSED), ~total & 0xFFFFFFFF) & 0xFFFFFFFF


def reverse(value: int) -> int:
    """The 32 bits in the other order."""
    return int.from_bytes(value.to_bytes(4, "little").translate(REVERSED), "big")
