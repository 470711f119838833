"""The volume recognition sequence: by which a disk is known to have UDF (ECMA-167, 2/8)."""

from __future__ import annotations

from douane_guest.source import Source

RECOGNITION = 32_768
STRUCTURE = 2048
MOST_STRUCTURES = 64
NSR = (b"NSR02", b"NSR03")
OTHER_STRUCTURES = (b"BEA01", b"CD001", b"BOOT2", b"CDW02", b"TEA01")


def is_udf(source: Source) -> bool:
    """Whether the structures at 32 KiB say so."""
    for size in (STRUCTURE, 4096):
        for number in range(MOST_STRUCTURES):
            place = RECOGNITION + number * size
            if place + 6 > source.size:
                break
            name = source.pread(place + 1, 5)
            if name in NSR:
                return True
            if name not in OTHER_STRUCTURES:
                break
    return False
