"""Raw disks with an MBR or a GPT (UEFI 2.10, 5.2 and 5.3), and the programs that partition disks."""

from __future__ import annotations

import os
import struct
import subprocess
from binascii import crc32
from pathlib import Path

from . import SECTOR, patched

LINUX = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
EFI_SYSTEM = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
GPT_ENTRIES = 128
GPT_ENTRY_BYTES = 128
PROTECTIVE = 0xEE
SYSTEM_PROGRAMS = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
"""mkfs and its like are not on everybody's path."""


def run(*words: str | Path, stdin: str = "") -> None:
    """Run a program that makes images; show its output if it fails."""
    command = [str(word) for word in words]
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, env=SYSTEM_PROGRAMS, check=False)
    assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"


def blank(path: Path, size: int) -> Path:
    """Make a file of `size` zeros."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def mbr_entry(kind: int, start: int, count: int, active: int = 0) -> bytes:
    """An entry of an MBR; the CHS addresses are those that UEFI prescribes for a protective MBR."""
    return struct.pack("<B3sB3sII", active, b"\0\2\0", kind, b"\xff\xff\xff", start, count)


def mbr_sector(*entries: bytes, code: bytes = b"") -> bytes:
    """A sector with a partition table."""
    return code.ljust(446, b"\0") + b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"


def mbr_disk(*entries: bytes, size: int = 4 << 20, code: bytes = b"") -> bytes:
    """A disk with a partition table, and nothing else."""
    return patched(bytes(size), (0, mbr_sector(*entries, code=code)))


def gpt_header(
    sector_number: int,
    copy_number: int,
    table: int,
    entries: bytes,
    *,
    last: int,
    sector: int = SECTOR,
    first: int = 34,
    entry_count: int = GPT_ENTRIES,
    entry_bytes: int = GPT_ENTRY_BYTES,
    **lies: int,
) -> bytes:
    """A header with the right checksums; `lies` replace them and the header's length: `header`, `table`, `length`."""
    guid = bytes(range(16))
    fields = (b"EFI PART", 0x10000, lies.get("length", 92), 0, 0, sector_number, copy_number, first, last, guid, table)
    header = struct.pack("<8sIIIIQQQQ16sQ", *fields)
    header += struct.pack("<III", entry_count, entry_bytes, lies.get("table_checksum", crc32(entries)))
    checksum = lies.get("header_checksum", crc32(header[: lies.get("length", 92)]))
    return patched(header, (16, struct.pack("<I", checksum))).ljust(sector, b"\0")


def gpt_entries(*partitions: tuple[int, int], kind: bytes = LINUX) -> bytes:
    """The table with (first sector, last sector) of each partition."""
    entries = (
        kind + bytes([number]) * 16 + struct.pack("<QQQ", first, last, 0) + "data".encode("utf-16-le").ljust(72, b"\0")
        for number, (first, last) in enumerate(partitions)
    )
    return b"".join(entries).ljust(GPT_ENTRIES * GPT_ENTRY_BYTES, b"\0")


def gpt_disk(*partitions: tuple[int, int], size: int = 4 << 20, sector: int = SECTOR) -> bytes:
    """A disk with a GPT and its copy."""
    total, entries = size // sector, gpt_entries(*partitions)
    table_sectors = len(entries) // sector
    last, first = total - table_sectors - 2, table_sectors + 2
    copy = total - 1 - table_sectors
    return patched(
        bytes(size),
        (0, mbr_sector(mbr_entry(PROTECTIVE, 1, total - 1))),
        (sector, gpt_header(1, total - 1, 2, entries, last=last, sector=sector, first=first)),
        (2 * sector, entries),
        (copy * sector, entries),
        ((total - 1) * sector, gpt_header(total - 1, 1, copy, entries, last=last, sector=sector, first=first)),
    )
