"""Seeds of optical discs: ISO 9660, hybrids with partition tables, and UDF."""

from __future__ import annotations

from support.images import patched
from support.images.iso import BLOCK, disc, iso, udf_recognition, volume_blocks
from support.images.partitions import gpt_disk, mbr_entry, mbr_sector


def images() -> dict[str, bytes]:
    """All seeds by name."""
    plain = iso(64)
    table = gpt_disk((40, 100), size=len(plain))
    udf = disc(udf_recognition(16), 300, anchor=True)
    return {
        "iso": plain,
        "iso-hybrid-mbr": patched(plain, (0, mbr_sector(mbr_entry(0x83, 64, 100, 0x80), mbr_entry(0x05, 200, 100)))),
        "iso-hybrid-gpt": table[: 16 * BLOCK] + plain[16 * BLOCK : -33 * 512] + table[-33 * 512 :],
        "iso-udf": disc([*volume_blocks(300), *udf_recognition(18)], 300, anchor=True),
        "udf": disc(udf_recognition(18), 300)[: 256 * BLOCK] + udf[256 * BLOCK :],
        "udf-only": udf,
        "iso-and-qcow2-header": patched(plain, (0, b"QFI\xfb\0\0\0\3")),
    }
