"""Databases of packages, and a guest that has them."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

from memory_filesystem import MemorySystem, Object, folder, text

from douane_guest.budget import Budget
from douane_guest.guest import Guest
from douane_guest.packages import sqlite
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume

DATA = Path(__file__).parents[1] / "data"
SQLITE = lzma.decompress((DATA / "rpmdb.sqlite.xz").read_bytes())
BERKELEY = lzma.decompress((DATA / "rpm-Packages.xz").read_bytes())
FILES_SQLITE = lzma.decompress((DATA / "rpm-files.sqlite.xz").read_bytes())
FILES_BERKELEY = lzma.decompress((DATA / "rpm-files.Packages.xz").read_bytes())
FILES_CONTENT = b'{"name": "npm", "version": "1.0.0"}'
"""Packages with files, by make_rpm_databases.sh, and what is in each of these files."""


def guest_with(files: dict[str, bytes]) -> Guest:
    """A guest with these files."""
    top: dict[str, Object] = {"etc": folder({"passwd": text("")})}
    root = folder(top)
    for path, data in files.items():
        place = root
        *folders, name = path.split("/")
        for part in folders:
            children = dict(place.children)
            if part.encode() not in children:
                place.children.append((part.encode(), folder({})))
            place = dict(place.children)[part.encode()]
        place.children.append((name.encode(), text(data)))
    system = MemorySystem({})
    system.root = root
    budget, unread = Budget(), UnreadParts()
    return Guest(None, [Volume("p1", BytesSource(b""), system, budget, unread)], budget, unread)


def headers(database: bytes = SQLITE) -> list[bytes]:
    rows = sqlite.Database(BytesSource(database), None, Budget()).rows("Packages")
    return [row[1] for row in rows if isinstance(row[1], bytes)]


def header_of(*tags: tuple[int, list[bytes] | list[int]]) -> bytes:
    """A header of rpm: texts are a list of texts, or a text for the name; numbers of 32 bits a list of numbers."""
    entries, data = b"", b""
    for tag, values in tags:
        kind = 6 if tag == 1000 else 8 if values and isinstance(values[0], bytes) else 4
        entries += struct.pack(">IIiI", tag, kind, len(data), len(values))
        for value in values:
            data += value + b"\0" if isinstance(value, bytes) else struct.pack(">I", value)
    return struct.pack(">II", len(tags), len(data)) + entries + data


def ndb_of(blobs: list[bytes]) -> bytes:
    """A database of rpm's own format."""
    slots, body, block = b"", b"", 4096 // 16
    for number, blob in enumerate(blobs, 1):
        room = -(-(len(blob) + 32) // 16)
        slots += struct.pack("<4sIII", b"Slot", number, block, room)
        body += (struct.pack("<4sIII", b"BlbS", number, 1, len(blob)) + blob).ljust(room * 16, b"\0")
        block += room
    empty = struct.pack("<4sIII", b"Slot", 0, 0, 0)
    head = struct.pack("<4sIIIIIII", b"RpmP", 0, 1, 1, len(blobs) + 1, 0, 0, 0)
    return (head + slots + empty * ((4096 - 32 - len(slots)) // 16)) + body
