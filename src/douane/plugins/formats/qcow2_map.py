"""Where the disk of a plain qcow2 image is in its file, by the image's header and tables.

Plain: every version of qemu reads the image the same way. It has no compressed clusters, no subclusters, no encryption,
no other file, and no unknown bit. Nothing here reads a file. The format: qemu, docs/interop/qcow2.txt.
"""

import struct
from array import array

from douane_guest.headers.qcow2 import L1_RESERVED, MAGIC, OFFSET, V3_BYTES, ZERO_FLAG, Qcow2Header

from .qcow2_entries import L2Entries

MAX_CLUSTERS = 1 << 22
"""Of a disk: 8 bytes are kept for each."""

_EVEN = bytes(range(0, 256, 2))


class Qcow2Map:
    """The map of the image with this `header`.

    `size` and `cluster_size` in bytes; `l1_offset` and `l1_bytes` of the part of the L1 table that the disk needs;
    `table_bytes` of the disk that an L2 table of one cluster describes.
    """

    def __init__(self, header: Qcow2Header) -> None:
        self.size, self.cluster_size, self.l1_offset = header.size, header.cluster_size, header.l1_table_offset
        self.table_bytes = self.cluster_size // 8 * self.cluster_size
        self.l1_bytes = -(-self.size // self.table_bytes) * 8
        self._version = header.version
        self._entries = L2Entries(header.cluster_bits, header.l2_entry_bytes)

    def table_offsets(self, l1: bytes) -> "list[int] | None":
        """The offset of each L2 table in the file, 0 where there is none. None if the image is not plain."""
        offsets = []
        for (entry,) in struct.iter_unpack(">Q", l1):
            offset = entry & OFFSET
            if entry & L1_RESERVED or offset % self.cluster_size:
                return None
            offsets.append(offset)
        return offsets

    def cluster_offsets(self, l2: bytes) -> "tuple[array[int], int] | None":
        """The offset of each cluster in the file, 0 where it reads as zeros, and the largest offset in the table.

        None if the image is not plain.
        """
        entries = self._entries.read(l2)
        if entries.compressed or entries.reserved or entries.unaligned:
            return None
        offsets = array("Q", entries.offsets)
        flags = l2[7::8]
        if flags.translate(None, _EVEN):
            if self._version == 2:
                return None
            for number, flag in enumerate(flags):
                if flag & ZERO_FLAG:
                    offsets[number] = 0
        return offsets, max(entries.offsets)


def map_of(head: bytes) -> "Qcow2Map | None":
    """The map of the image that begins with `head`. None if the image is not plain."""
    if len(head) < V3_BYTES or not head.startswith(MAGIC):
        return None
    header = Qcow2Header(head)
    if header.version not in (2, 3) or header.incompatible_features or header.crypt_method:
        return None
    if header.backing_file_offset or header.backing_file_size or not 9 <= header.cluster_bits <= 21:
        return None
    plain = Qcow2Map(header)
    if not 0 < -(-plain.size // plain.cluster_size) <= MAX_CLUSTERS or plain.l1_bytes > header.l1_size * 8:
        return None
    return None if plain.l1_offset % plain.cluster_size else plain
