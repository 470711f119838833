"""qcow, version 1: the first copy-on-write format of QEMU, replaced by qcow2 and still read.

Format and limits: qemu, block/qcow.c, struct QCowHeader and qcow_open().
"""

import struct

from .base import Format
from .requests import Bytes
from .tables import Table, TableReader, numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAGIC = b"QFI\xfb\0\0\0\1"
HEADER_BYTES = 48
MAX_BACKING_NAME = 1023
MAX_L1_ENTRIES = (1 << 31) // 8
COMPRESSED = 1 << 63
AES = 1


class Qcow(Format):
    """Recognised by the magic of qcow2 with version 1."""

    name = "qcow"
    about = "version 1, before qcow2"
    disk_format = "qcow"
    qemu_driver = "qcow"
    signatures = ((0, MAGIC),)

    def read(self, match: "Match") -> "Reader":
        """Read the header and the name of the backing file, then the tables."""
        match.variant = "v1"
        data = yield Bytes(0, HEADER_BYTES, "the header")
        backing_at, backing_bytes, _, size, cluster_bits, l2_bits, _, crypt, l1_at = struct.unpack(
            ">QIIQBBHIQ", data[8:]
        )
        for name, value, offset in (
            *(("backing_file_offset", backing_at, 8), ("backing_file_size", backing_bytes, 16), ("size", size, 24)),
            *(("cluster_bits", cluster_bits, 32), ("l2_bits", l2_bits, 33), ("crypt_method", crypt, 36)),
            ("l1_table_offset", l1_at, 40),
        ):
            match.note(name, value, offset)
        match.virtual_size = size // 512 * 512
        if crypt == AES:
            match.find("encrypted", "crypt_method is 1: AES", 36)
        elif crypt:
            match.find("unknown-feature", f"crypt_method is {crypt}, but must be 0 or 1", 36)
        if backing_at:
            yield from _backing_file(match, backing_at, backing_bytes)
        valid = True
        if not 9 <= cluster_bits <= 16:
            match.find("header", f"cluster_bits is {cluster_bits}, but must be 9 to 16", 32)
            valid = False
        if not 6 <= l2_bits <= 13:
            match.find("header", f"l2_bits is {l2_bits}, but must be 6 to 13", 33)
            valid = False
        if size < 512:
            match.find("no-disk", f"size is {size}", 24)
        if size % 512:
            match.find("unaligned-size", f"size is {size}, no multiple of 512; tools round it differently", 24)
        if not valid:
            return
        entries = -(-size >> cluster_bits + l2_bits)
        if entries > MAX_L1_ENTRIES:
            match.find("virtual-size", f"size is {size}, which needs an L1 table of {entries} entries", 24)
        elif l1_at < HEADER_BYTES or (backing_at < l1_at + entries * 8 and l1_at < backing_at + backing_bytes):
            match.find("overlap", f"the L1 table at {l1_at} overlaps the header", 40)
        else:
            yield from _tables(match, (l1_at, entries * 8), cluster_bits, l2_bits)


def _backing_file(match: "Match", at: int, length: int) -> "Reader":
    if not 0 < length <= MAX_BACKING_NAME:
        match.find("header", f"the name of the backing file has {length} bytes, not 1 to {MAX_BACKING_NAME}", 16)
    if at > 1 << 20:
        match.find("header", f"the name of the backing file is at {at}", 8)
        match.find("backing-file", f"it names a backing file, at {at}", 8)
        return
    name = yield Bytes(at, min(length, MAX_BACKING_NAME), "the name of the backing file", short=True)
    text = name.decode("utf-8", "replace")
    match.note("backing file", text, at)
    match.find("backing-file", f"it names the backing file {text!r}", at)


def _tables(match: "Match", l1: "tuple[int, int]", cluster_bits: int, l2_bits: int) -> "Reader":
    """Read the tables. The last cluster may end outside the file, as the file grows when clusters are allocated."""
    reader = TableReader(match, HEADER_BYTES)
    offset_bits = 63 - cluster_bits
    offset_mask, size_mask = (1 << offset_bits) - 1, (1 << cluster_bits) - 1

    def first_level(piece: bytes) -> None:
        offsets = list(filter(None, numbers(piece, ">Q")))
        different = set(offsets)
        if not different:
            return
        if len(different) < len(offsets):
            reader.find_once("overlap", "the L1 table has the same L2 table twice", key="twice")
        if max(different) >= 1 << 63:
            reader.find_once("header", "the L1 table has entries that are not offsets", key="L1")
            return
        reader.must_reach(max(different) + 1, "an L2 table")
        end = l1[0] + l1[1]
        if min(different) < HEADER_BYTES or any(l1[0] <= offset < end for offset in different):
            reader.find_once("overlap", "an L2 table overlaps the header or the L1 table", key="L2")
        reader.add_tables(different, 8 << l2_bits, "an L2 table", second_level)

    def second_level(piece: bytes) -> None:
        entries = numbers(piece, ">Q")
        last = max(entries, default=0)
        if last & COMPRESSED:
            packed = [entry for entry in entries if entry & COMPRESSED]
            end = max([(entry & offset_mask) + (entry >> offset_bits & size_mask) for entry in packed])
            reader.must_reach(end, "a compressed cluster of the disk")
            last = max([entry for entry in entries if not entry & COMPRESSED], default=0)
        if last:
            reader.must_reach(last + 1, "a cluster of the disk")
            plain = {entry for entry in entries if entry and not entry & COMPRESSED}
            match.data.add_blocks(plain, 1 << cluster_bits)

    if l1[1]:
        reader.must_reach(l1[0] + l1[1], "the L1 table")
        reader.add(Table(*l1, "the L1 table", first_level))
    yield from reader.read()
