"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "efi-partition"
    use = "plugins/efi_partition.py:EfiPartition"

Shows ``reads = "head:N"``: a GUID partition table (UEFI specification 2.10, 5.3) is at the start of a disk, so that 24
KiB suffice for an image of any size.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from douane_plugin import Image, Incomplete, Inspector, Reject

SECTORS = (512, 4096)
HEAD = 2 * 4096 + 128 * 128
"""The end of the usual 128 entries, with the larger sectors."""

EFI_SYSTEM = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
"""C12A7328-F81F-11D2-BA4B-00A0C93EC93B, in the byte order of the disk."""


class EfiPartition(Inspector):
    """Refuse a raw disk without an EFI system partition, which this site's machines cannot boot.

    The plugin reads the bytes of the disk itself. Put it behind `convert` if the site accepts other formats than raw.
    """

    reads = f"head:{HEAD}"

    def inspect(self, image: Image) -> dict[str, int]:
        head = image.read(HEAD)
        for sector in SECTORS:
            if head[sector : sector + 8] == b"EFI PART":
                types = list(self._types(head, sector))
                break
        else:
            raise Reject(
                "no-gpt", "the image does not begin with a GUID partition table; make the disk with one (gdisk, parted)"
            )
        if EFI_SYSTEM not in types:
            raise Reject(
                "no-efi-partition",
                "none of the partitions is an EFI system partition; add one (type ef00 in gdisk) with a boot loader",
            )
        return {"partitions": len(types), "sector_size": sector}

    def _types(self, head: bytes, sector: int) -> Iterator[bytes]:
        """Yield the types of the partitions in use. Every number comes from the tenant, so all are checked."""
        header = head[sector : sector * 2]
        if len(header) < 92:
            raise self._cut_off()
        size, checksum = struct.unpack_from("<II", header, 12)
        first_sector, count, entry_bytes, entries_checksum = struct.unpack_from("<QIII", header, 72)
        if not 92 <= size <= sector:
            raise self._damaged()
        if len(header) < size:
            raise self._cut_off()
        if zlib.crc32(header[:16] + bytes(4) + header[20:size]) != checksum:
            raise self._damaged()
        if entry_bytes < 128 or entry_bytes % 128:
            raise self._damaged()
        start, end = first_sector * sector, first_sector * sector + count * entry_bytes
        if end > HEAD:
            raise Incomplete(
                "gpt-too-far",
                f"its partition table ends behind the first {HEAD} bytes; write it again, at the usual offset and with"
                " 128 entries",
            )
        if end > len(head):
            raise self._cut_off()
        if zlib.crc32(head[start:end]) != entries_checksum:
            raise self._damaged()
        for offset in range(start, end, entry_bytes):
            if any(head[offset : offset + 16]):
                yield head[offset : offset + 16]

    def _damaged(self) -> Reject:
        return Reject(
            "gpt-damaged",
            "its partition table contradicts itself; repair it (gdisk, verify) and upload the image again",
        )

    def _cut_off(self) -> Incomplete:
        return Incomplete("gpt-cut-off", "the image ends within its partition table; upload it again, as a whole")
