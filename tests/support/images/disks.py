"""Raw disks for tests: by the tools that make them in real life, and by hand where those would refuse to."""

from __future__ import annotations

import os
import struct
import subprocess
from binascii import crc32
from pathlib import Path

SYSTEM_PROGRAMS = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
"""mkfs and its like are not on everybody's path."""


def run(*words: str | Path, stdin: str = "") -> None:
    """Run a program that makes images; what it says is shown when it fails."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, env=SYSTEM_PROGRAMS, timeout=60, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


def blank(path: Path, size: int) -> Path:
    """A file of `size` zeros."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def mbr_entry(kind: int, start: int, count: int, active: int = 0) -> bytes:
    """An entry of an MBR."""
    return struct.pack("<B3sB3sII", active, bytes(3), kind, bytes(3), start, count)


def mbr_sector(*entries: bytes, code: bytes = b"") -> bytes:
    """A sector with a partition table."""
    return code.ljust(446, b"\0") + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"


def mbr_disk(*entries: bytes, size: int = 4 << 20) -> bytearray:
    """A disk with a partition table, and nothing else."""
    disk = bytearray(size)
    disk[:512] = mbr_sector(*entries)
    return disk


LINUX = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
DISK = bytes(range(16))


def gpt_header(
    mine: int, other: int, table: int, entries: bytes, *, last: int, size: int = 512, **changed: int
) -> bytes:
    """A header with the right checksums; `changed`: first, entry_count, entry_size."""
    count, entry_size = changed.get("entry_count", 128), changed.get("entry_size", 128)
    fields = (b"EFI PART", 0x10000, 92, 0, 0, mine, other, changed.get("first", 34), last, DISK, table, count)
    header = struct.pack("<8sIIIIQQQQ16sQI", *fields) + struct.pack("<II", entry_size, crc32(entries))
    return (header[:16] + struct.pack("<I", crc32(header)) + header[20:]).ljust(size, b"\0")


def gpt_entries(*partitions: tuple[int, int]) -> bytes:
    """Entries with (first sector, last sector)."""
    made = b"".join(
        LINUX + bytes([number]) * 16 + struct.pack("<QQQ", first, last, 0) + "data".encode("utf-16-le").ljust(72, b"\0")
        for number, (first, last) in enumerate(partitions)
    )
    return made.ljust(128 * 128, b"\0")


def gpt_disk(*partitions: tuple[int, int], size: int = 4 << 20, sector: int = 512) -> bytearray:
    """A disk with a GPT and its copy."""
    disk = bytearray(size)
    total, entries = size // sector, gpt_entries(*partitions)
    taken = len(entries) // sector
    last, first = total - taken - 2, taken + 2
    disk[:512] = mbr_sector(mbr_entry(0xEE, 1, total - 1))
    disk[sector : 2 * sector] = gpt_header(1, total - 1, 2, entries, last=last, size=sector, first=first)
    disk[2 * sector : 2 * sector + len(entries)] = entries
    disk[-sector:] = gpt_header(total - 1, 1, total - 1 - taken, entries, last=last, size=sector, first=first)
    disk[-sector - len(entries) : -sector] = entries
    return disk
