"""An NTFS volume in memory: what is in it, and changes of its records."""

from __future__ import annotations

import struct
from pathlib import Path

from guest_stored import run

from douane_guest.budget import Budget
from douane_guest.filesystems import ntfs
from douane_guest.source import BytesSource

DATA, REPARSE, VOLUME_INFORMATION = 0x80, 0xC0, 0x70


def opened(data: bytes, steps: int = 10_000_000) -> ntfs.Ntfs:
    source = BytesSource(bytes(data))
    assert ntfs.probe(source)
    return ntfs.open(source, Budget(steps=steps))


def refs(system: ntfs.Ntfs) -> dict[bytes, ntfs.filesystem.Ref]:
    return {entry.name: entry.ref for entry in system.entries(system.node(system.root))}


def named(system: ntfs.Ntfs, name: bytes):
    return system.node(refs(system)[name])


def read(system: ntfs.Ntfs, name: bytes) -> bytes:
    node = named(system, name)
    data = bytearray(node.size)
    for offset, piece in system.chunks(node):
        data[offset : offset + len(piece)] = piece
    return bytes(data)


class Volume:
    """The stored volume, of which a test changes records."""

    def __init__(self, image: bytes) -> None:
        self.data = bytearray(image)

    def record(self, number: int) -> int:
        """Where a record lies."""
        system = opened(self.data)
        wanted = number * 1024
        for run_ in system._table._map._runs:
            first = run_.first * 512
            if first <= wanted < first + run_.length * 512:
                return run_.cluster * 512 + wanted - first
        raise AssertionError(number)

    def attribute(self, name: bytes | int, kind: int) -> int:
        """Where an attribute of the record of a file lies, which is not torn apart by a sector's end."""
        start = self.record(name if isinstance(name, int) else refs(opened(self.data))[name].number)
        place = start + struct.unpack_from("<H", self.data, start + 20)[0]
        while (found := struct.unpack_from("<I", self.data, place)[0]) != kind:
            assert found != 0xFFFFFFFF
            place += struct.unpack_from("<I", self.data, place + 4)[0]
        return place

    def write(self, place: int, form: str, *values) -> Volume:
        struct.pack_into(form, self.data, place, *values)
        return self

    def open(self) -> ntfs.Ntfs:
        return opened(self.data)


def make(tmp_path: Path, *options: str, megabytes: int = 16) -> Path:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run("mkfs.ntfs", "-F", "-Q", *options, image)
    return image


def copy(image: Path, name: str, data: bytes, *options: str) -> None:
    source = image.parent / "source"
    source.write_bytes(data)
    run("ntfscp", "-f", *options, image, source, name)
