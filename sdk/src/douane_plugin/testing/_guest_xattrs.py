"""The block with the extended attributes of an object of ext4, for `guest_image`."""

from __future__ import annotations

import struct
from typing import Mapping

EXT_ATTR = 0x8
"""The feature of the file system."""

_MAGIC = 0xEA020000
_HEAD, _ENTRY = 32, 16
_PREFIXES = (
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"user.", 1),
    (b"trusted.", 4),
    (b"security.", 6),
    (b"system.", 7),
)


def xattr_block(attributes: Mapping[str, bytes], size: int) -> bytes:
    """Return the block of `size` bytes with `attributes`, by whole names. Raises ValueError if they do not fit."""
    block = bytearray(size)
    place, end = _HEAD, size
    total = 0
    for index, _, name, value in sorted(_split(name, bytes(value)) for name, value in attributes.items()):
        end -= _padded(len(value))
        following = place + _padded(_ENTRY + len(name))
        if following + 4 > end:  # four zeros end the list
            raise ValueError(f"the extended attributes have more than the {size} bytes that fit")
        code = _hash(name, value)
        total = ((total << 16) ^ (total >> 16) ^ code) & 0xFFFFFFFF
        struct.pack_into("<BBHIII", block, place, len(name), index, end if value else 0, 0, len(value), code)
        block[place + _ENTRY : place + _ENTRY + len(name)] = name
        block[end : end + len(value)] = value
        place = following
    struct.pack_into("<IIII", block, 0, _MAGIC, 1, 1, total)
    return bytes(block)


def _split(name: str, value: bytes) -> tuple[int, int, bytes, bytes]:
    """Return what the entries are sorted by: the number of the prefix, then the rest of the name."""
    text = name.encode("utf-8", "surrogateescape")
    for prefix, index in _PREFIXES:
        if text.startswith(prefix) and (text == prefix or prefix.endswith(b".")):
            rest = text[len(prefix) :]
            if len(rest) <= 255 and (rest or not prefix.endswith(b".")):
                return index, len(rest), rest, value
    raise ValueError(f"{name!r:.100} is no name of an extended attribute, such as security.selinux or user.comment")


def _padded(length: int) -> int:
    return -(-length // 4) * 4


def _hash(name: bytes, value: bytes) -> int:
    """Return the hash of an entry, as the kernel makes it (fs/ext4/xattr.c)."""
    code = 0
    for byte in name:
        code = ((code << 5) ^ (code >> 27) ^ byte) & 0xFFFFFFFF
    for (word,) in struct.iter_unpack("<I", value.ljust(_padded(len(value)), b"\0")):
        code = ((code << 16) ^ (code >> 16) ^ word) & 0xFFFFFFFF
    return code
