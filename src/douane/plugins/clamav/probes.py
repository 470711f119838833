"""Two archives that tell whether a clamd says what it has skipped: its configuration may be another than the file that
is granted, or be read at its next start only.
"""

from __future__ import annotations

import struct
import zlib

DEEPER_THAN_ANY = 110
"""Archives in archives. MaxRecursion is 17 by default, and 100 at most."""

_ENCRYPTED = 1


def probes() -> dict[str, tuple[str, bytes]]:
    """By the setting that each is about: how the name of what clamd "finds" begins, and the archive."""
    nested = b"x"
    for _ in range(DEEPER_THAN_ANY):
        nested = _zip(nested)
    return {
        "AlertEncrypted": ("Heuristics.Encrypted", _zip(bytes(12) + b"nothing", _ENCRYPTED)),
        "AlertExceedsMax": ("Heuristics.Limits.Exceeded", nested),
    }


def _zip(data: bytes, flags: int = 0) -> bytes:
    """An archive with one file, stored as it is."""
    name, checksum = b"a.zip", zlib.crc32(data)
    sizes = (checksum, len(data), len(data), len(name))
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 10, flags, 0, 0, 0, *sizes, 0) + name
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 10, 10, flags, 0, 0, 0, *sizes, 0, 0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(head) + len(data), 0)
    return head + data + entry + end
