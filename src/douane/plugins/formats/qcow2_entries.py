"""The entries of an L2 table of a qcow2 image, all entries of a piece at once.

Format: qemu, docs/interop/qcow2.txt, "L2 table entry". An image has an entry for each cluster, millions: a piece
is read as one large integer, in which each entry is a digit of 64 (or 128) bits. An operation on the integer is done in
all digits; no digit overflows into the next.
"""

from douane_guest.headers.qcow2 import COMPRESSED_BIT, OFFSET, RESERVED

from .tables import numbers

FEW = 16


class L2Piece:
    """The entries of a piece; `plain` is the integer of :meth:`data_clusters`, -1 if these are all `offsets`.

    `offsets` has the start of each plain cluster, and of the last sector of each compressed cluster; 0 for no cluster.
    `compressed`, `reserved` and `unaligned` are true if an entry is of a compressed cluster, has reserved bits set, or
    is no multiple of the cluster size.
    """

    __slots__ = ("_data", "_plain", "compressed", "offsets", "reserved", "unaligned")

    def __init__(self, data: bytes, plain: int, *, compressed: bool, reserved: bool, unaligned: bool) -> None:
        self.offsets = numbers(data, ">Q")
        self.compressed, self.reserved, self.unaligned = compressed, reserved, unaligned
        self._data = data
        self._plain = plain

    def data_clusters(self) -> "tuple[int, ...]":
        """The start of each plain cluster that a guest reads; 0 for no cluster, and for one that reads as zeros."""
        if self._plain < 0:
            return self.offsets
        return numbers(self._plain.to_bytes(len(self._data), "big"), ">Q")

    def any_of(self, clusters: "set[int]") -> bool:
        """True if `clusters` has an offset of the piece other than 0."""
        if len(clusters) <= FEW and not any(
            cluster and cluster.to_bytes(8, "big") in self._data for cluster in clusters
        ):
            return False
        return not clusters.isdisjoint(filter(None, self.offsets))


class L2Entries:
    """Reads entries of `entry_bytes` (8 or 16) of an image with clusters of 2 to the power of `cluster_bits` bytes."""

    def __init__(self, cluster_bits: int, entry_bytes: int) -> None:
        self._bits = entry_bytes * 8
        self._low_bits = self._bits - 64  # with subclusters the upper half is the entry, the lower half their bitmap
        self._unaligned = OFFSET & ((1 << cluster_bits) - 1)
        # Compressed Clusters Descriptor: bits 0 to x - 1 are the offset, x to 61 a number of further sectors
        self._sectors_at = 62 - (cluster_bits - 8)
        self._sectors = (1 << cluster_bits - 8) - 1
        self._sector = ((1 << self._sectors_at) - 1) & ~511
        self._ones: dict[int, int] = {}

    def read(self, piece: bytes) -> L2Piece:
        """Read the complete entries in `piece`."""
        count = len(piece) * 8 // self._bits
        ones = self._ones.get(count)
        if ones is None:
            ones = self._ones[count] = int.from_bytes((b"\1".rjust(self._bits // 8, b"\0")) * count, "big")
            if len(self._ones) > 4:
                self._ones.clear()
        size = count * self._bits // 8
        entries = int.from_bytes(piece[:size], "big") >> self._low_bits
        packed = entries >> COMPRESSED_BIT & ones
        plain = ones ^ packed
        zeros = entries & plain if self._low_bits == 0 else 0
        offsets = entries & plain * OFFSET
        reserved = entries & plain * RESERVED
        unaligned = entries & plain * self._unaligned
        data_clusters = entries & (plain ^ zeros) * OFFSET if packed or zeros else -1
        if packed:
            offsets += (entries & packed * self._sector) + ((entries >> self._sectors_at & packed * self._sectors) << 9)
        return L2Piece(
            offsets.to_bytes(size, "big"),
            data_clusters,
            compressed=packed > 0,
            reserved=reserved > 0,
            unaligned=unaligned > 0,
        )
