"""The entries of an L2 table of a qcow2 image, all of a piece at once.

The format: qemu, docs/interop/qcow2.txt, "L2 table entry". An image has one entry for each of its clusters, millions
of them, so that they are not looked at one by one: a piece is one large integer, in which each entry is a digit of 64
(or 128) bits, and one operation on it is done in all digits. No digit can overflow into the next.
"""

from .tables import numbers

OFFSET = 0x00FF_FFFF_FFFF_FE00
"""The bits of an L1 or L2 entry that are an offset: L1E_OFFSET_MASK, L2E_OFFSET_MASK in block/qcow2.h."""

COMPRESSED_BIT = 62
RESERVED = 0x3F00_0000_0000_01FE
"""L2E_STD_RESERVED_MASK in block/qcow2.h."""

FEW = 16


class Found:
    """`offsets`: of a plain cluster where it begins, of a compressed one where its last sector does, 0 for none.
    `compressed`, `reserved`, `unaligned`: whether there is such an entry, has reserved bits, is no multiple of the
    cluster size."""

    __slots__ = ("_data", "compressed", "offsets", "reserved", "unaligned")

    def __init__(self, data: bytes, *, compressed: bool, reserved: bool, unaligned: bool) -> None:
        self.offsets = numbers(data, ">Q")
        self.compressed, self.reserved, self.unaligned = compressed, reserved, unaligned
        self._data = data

    def any_of(self, clusters: "set[int]") -> bool:
        """True if one of the offsets is in `clusters`, and is not 0."""
        if len(clusters) <= FEW and not any(
            cluster and cluster.to_bytes(8, "big") in self._data for cluster in clusters
        ):
            return False
        return not clusters.isdisjoint(filter(None, self.offsets))


class L2Entries:
    """How to read them, each of `entry_bytes` (8 or 16), where a cluster has 2 to the power of `cluster_bits` bytes."""

    def __init__(self, cluster_bits: int, entry_bytes: int) -> None:
        self._bits = entry_bytes * 8
        self._above = self._bits - 64  # with subclusters the entry is the upper half, and their bitmap the lower
        self._unaligned = OFFSET & ((1 << cluster_bits) - 1)
        # Compressed Clusters Descriptor: bits 0 to x - 1 are the offset, x to 61 a number of further sectors
        self._sectors_at = 62 - (cluster_bits - 8)
        self._sectors = (1 << cluster_bits - 8) - 1
        self._sector = ((1 << self._sectors_at) - 1) & ~511
        self._ones: dict[int, int] = {}

    def read(self, piece: bytes) -> Found:
        """What is in `piece`; an entry that is not all there is dropped."""
        count = len(piece) * 8 // self._bits
        ones = self._ones.get(count)
        if ones is None:
            ones = self._ones[count] = int.from_bytes((b"\1".rjust(self._bits // 8, b"\0")) * count, "big")
            if len(self._ones) > 4:
                self._ones.clear()
        size = count * self._bits // 8
        entries = int.from_bytes(piece[:size], "big") >> self._above
        packed = entries >> COMPRESSED_BIT & ones
        plain = ones ^ packed
        offsets = entries & plain * OFFSET
        reserved = entries & plain * RESERVED
        unaligned = entries & plain * self._unaligned
        if packed:
            offsets += (entries & packed * self._sector) + ((entries >> self._sectors_at & packed * self._sectors) << 9)
        return Found(
            offsets.to_bytes(size, "big"), compressed=packed > 0, reserved=reserved > 0, unaligned=unaligned > 0
        )
