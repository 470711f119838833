"""Where blocks of version 5 keep the number of the record that changed them last, and which number it is.

A change is older than the block, and not replayed, if the block's number is not smaller ("Log Sequence Numbers" of the
kernel's documentation on self-describing metadata).
"""

from __future__ import annotations

from typing import NamedTuple


class _Stamp(NamedTuple):
    lsn: int
    uuid: int


_SHORT_TREE = _Stamp(24, 32)
_LONG_TREE = _Stamp(32, 40)
_DIRECTORY = _Stamp(16, 24)
_LEAF = _Stamp(24, 32)
_BY_MAGIC = {
    **dict.fromkeys(
        [b"ABTB", b"ABTC", b"AB3B", b"AB3C", b"IABT", b"IAB3", b"FIBT", b"FIB3", b"RMB3", b"R3FC"], _SHORT_TREE
    ),
    **dict.fromkeys([b"BMAP", b"BMA3"], _LONG_TREE),
    **dict.fromkeys([b"XDB3", b"XDD3", b"XDF3"], _DIRECTORY),
    b"XAGF": _Stamp(208, 64),
    b"XAGI": _Stamp(320, 296),
    b"XAFL": _Stamp(24, 8),
    b"XSLM": _Stamp(48, 16),
}
_LEAVES = {b"\x3b\xee", b"\x3e\xbe", b"\x3d\xf1", b"\x3d\xff"}
_META_UUID = 0x4


def stamp_place(block: bytes, uuid: bytes) -> int | None:
    """Where the number is; None for a block that has none, or is not (yet) one of this file system: it is always
    replayed."""
    magic = block[:4]
    stamp = _BY_MAGIC.get(magic)
    if magic == b"XFSB":
        has_meta_uuid = int.from_bytes(block[216:220], "big") & _META_UUID
        stamp = _Stamp(240, 248 if has_meta_uuid else 32)
    elif stamp is None and block[8:10] in _LEAVES:
        stamp = _LEAF
    if stamp is None or block[stamp.uuid : stamp.uuid + 16] != uuid:
        return None
    return stamp.lsn


def number_of(block: bytes, uuid: bytes) -> int | None:
    """The number in a block, or None."""
    place = stamp_place(block, uuid)
    if place is None:
        return None
    number = int.from_bytes(block[place : place + 8], "big")
    return number if number not in {0, (1 << 64) - 1} else None
