"""A VHDX that was not closed, whose log a test writes."""

from __future__ import annotations

from pathlib import Path
from struct import pack, pack_into, unpack_from

from guest_stored import run

from douane_guest.budget import Budget
from douane_guest.containers.registry import open_disk
from douane_guest.headers.crc32c import crc32c
from douane_guest.source import BytesSource

MIB, SECTOR = 1 << 20, 4096
IDENTITY = b"\7" * 16
HEADERS = (64 << 10, 128 << 10)


class DirtyVhdx:
    """A VHDX whose log a test writes."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.size, self.start = unpack_from("<IQ", data, HEADERS[0] + 68)
        self.payload = data.find(b"head of the payload")
        self.at, self.tail = 0, 0
        for place in HEADERS:
            self.data[place + 48 : place + 64] = IDENTITY
            self.sum(place, SECTOR)

    def sum(self, place: int, count: int) -> None:
        pack_into("<I", self.data, place + 4, 0)
        pack_into("<I", self.data, place + 4, crc32c(bytes(self.data[place : place + count])))

    def entry(self, sequence: int, *changes: tuple[int, bytes | int], **fields: int) -> int:
        """Append an entry of changes at offsets of the payload: a sector, or a count of zeros. Returns its place."""
        descriptors, sectors = b"", b""
        number_of_descriptors = fields.get("descriptor_sequence", sequence)
        for relative, change in changes:
            offset = fields.get("base", self.payload) + relative
            if isinstance(change, int):
                descriptors += pack("<4sIQQQ", b"zero", 0, change, offset, number_of_descriptors)
            else:
                descriptors += pack("<4s4s8sQQ", b"desc", change[-4:], change[:8], offset, number_of_descriptors)
                number = fields.get("data_sequence", sequence)
                sectors += pack("<4sI4084sI", b"data", number >> 32, change[8:-4], number & 0xFFFFFFFF)
        length = -(-(64 + len(descriptors)) // SECTOR) * SECTOR + len(sectors)
        head = pack(
            "<4sIIIQII16sQQ",
            *(b"loge", 0, length, fields.get("tail", self.tail), sequence, len(changes), 0, IDENTITY),
            *(fields.get("flushed", len(self.data)), fields.get("last", len(self.data))),
        )
        body = bytearray((head + descriptors).ljust(length - len(sectors), b"\0") + sectors)
        pack_into("<I", body, 4, crc32c(bytes(body)))
        place = self.at
        for offset in range(0, length, SECTOR):
            target = self.start + (place + offset) % self.size
            self.data[target : target + SECTOR] = body[offset : offset + SECTOR]
        self.at = (place + length) % self.size
        return place

    def apply(self, *changes: tuple[int, bytes | int]) -> None:
        """As a program does before it moves the tail."""
        for offset, change in changes:
            data = bytes(change) if isinstance(change, int) else change
            self.data[self.payload + offset : self.payload + offset + len(data)] = data

    def read(self) -> bytes:
        disk = open_disk(BytesSource(bytes(self.data)), Budget())
        return disk.pread(0, 2 * MIB) + disk.pread(2 * MIB, disk.size - 2 * MIB)

    def as_qemu_replays(self, folder: Path) -> bytes:
        path = folder / "dirty"
        path.write_bytes(self.data)
        run("qemu-img", "check", "-q", "-r", "all", path)
        run("qemu-img", "convert", "-O", "raw", path, folder / "replayed")
        return (folder / "replayed").read_bytes()
