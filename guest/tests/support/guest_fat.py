"""FAT file systems that mkfs.fat makes, and one whose records a test writes."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

from douane_guest.budget import Budget
from douane_guest.filesystems import fat
from douane_guest.filesystems.fat import names
from douane_guest.source import BytesSource, FileSource

UTC = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
SECTOR = 512


def run(*command: object) -> bytes:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, env=UTC).stdout


def make_fat(image: Path, megabytes: int, *options: str) -> Path:
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run("mkfs.fat", *options, image)
    return image


def opened(image: Path | bytes) -> fat.Fat:
    source = BytesSource(image) if isinstance(image, bytes) else FileSource(os.open(image, os.O_RDONLY))
    assert fat.probe(source)
    return fat.open(source, Budget(steps=10_000_000))


def node_of(system: fat.Fat, name: bytes):
    return system.node({entry.name: entry.ref for entry in system.entries(system.node(system.root))}[name])


class Crafted:
    """A FAT16 file system, whose root folder, table and clusters a test writes."""

    def __init__(self, folder: Path) -> None:
        self.data = bytearray(make_fat(folder / "crafted", 8, "-F", "16", "-s", "1").read_bytes())
        system = opened(bytes(self.data))
        self.boot = system._boot
        self.count = 0

    def record(self, short: bytes, *, attributes=0x20, case=0, cluster=0, size=0, time=0, date=0x21) -> bytes:
        return struct.pack("<11sBB9xHHHI", short, attributes, case, time, date, cluster, size)

    def long(self, name: str, short: bytes, checksum: int | None = None) -> list[bytes]:
        units = name.encode("utf-16-le", "surrogatepass")
        if len(units) % 26:
            units += b"\0\0"
        units += b"\xff" * (-len(units) % 26)
        parts = [units[i : i + 26] for i in range(0, len(units), 26)]
        value = names.checksum_of(short) if checksum is None else checksum
        return [
            struct.pack("<B10sBBB12sH4s", i | 0x40 * (i == len(parts)), p[:10], 0x0F, 0, value, p[10:22], 0, p[22:])
            for i, p in reversed(list(enumerate(parts, 1)))
        ]

    def put(self, *records: bytes, place: int | None = None) -> Crafted:
        for record in records:
            start = (self.boot.root_place if place is None else place) + 32 * self.count
            self.data[start : start + 32] = record
            self.count += 1
        return self

    def link(self, cluster: int, after: int) -> Crafted:
        struct.pack_into("<H", self.data, self.boot.table + 2 * cluster, after)
        return self

    def place(self, cluster: int) -> int:
        return self.boot.data + (cluster - 2) * self.boot.cluster

    def open(self) -> fat.Fat:
        return opened(bytes(self.data))

    def names(self) -> list[bytes]:
        system = self.open()
        return [entry.name for entry in system.entries(system.node(system.root))]
