"""Physical volumes of LVM without the device mapper: labels and metadata (LVM2, lib/format_text), and the data.

LVM needs the device mapper to make volumes; a test has `pvck` read what is written here. The metadata of thin pools are
those of thin_restore(8).
"""

from __future__ import annotations

import struct
import uuid
import zlib
from itertools import pairwise
from pathlib import Path

from .pieces import Area
from .workshop import MEBIBYTE, empty_file

EXTENT = MEBIBYTE
METADATA_AT, METADATA_SIZE = 4096, MEBIBYTE - 4096
GROUP = "group-1"
EXTENTS_OF_METADATA = 1
_MAGIC = b" LVM2 x[5A%r0N*>"


def identity(name: str) -> str:
    """An identity of LVM: 32 letters and digits in groups."""
    text = uuid.uuid5(uuid.NAMESPACE_OID, name).hex
    return "-".join(text[start:end] for start, end in pairwise((0, 6, 10, 14, 18, 22, 26, 32)))


class Group:
    """A volume group: areas are allocated first, then `write` makes the files."""

    def __init__(self, room: Path, devices: int) -> None:
        self.files = [room / f"physical{number}" for number in range(devices)]
        self._used = [0] * devices
        self._volumes: list[str] = []
        self._seed = str(room)

    def allocate(self, device: int, extents: int) -> tuple[str, Area]:
        """Extents of a physical volume: as text of the metadata, and as a place."""
        device %= len(self.files)
        first = self._used[device]
        self._used[device] += extents
        return f'"pv{device}", {first}', Area(self.files[device], METADATA_AT + METADATA_SIZE + first * EXTENT)

    def hidden(self, name: str, device: int, extents: int) -> Area:
        """A volume that is a part of another one."""
        text, area = self.allocate(device, extents)
        self.volume(name, extents, f'type = "striped"\nstripe_count = 1\nstripes = [\n{text}\n]', visible=False)
        return area

    def volume(self, name: str, extents: int, segment: str, *, visible: bool = True) -> None:
        """A volume of one segment."""
        self.volume_of(name, [(extents, segment)], visible=visible)

    def volume_of(self, name: str, segments: list[tuple[int, str]], *, visible: bool = True) -> None:
        """A volume of several."""
        status = '"READ", "WRITE"' + (', "VISIBLE"' if visible else "")
        lines = [
            f"{name} {{",
            f'id = "{identity(self._seed + name)}"',
            f"status = [{status}]\nflags = []\ncreation_time = 1700000000\n"
            f'creation_host = "any"\nsegment_count = {len(segments)}',
        ]
        start = 0
        for number, (extents, text) in enumerate(segments, 1):
            lines.append(f"segment{number} {{\nstart_extent = {start}\nextent_count = {extents}\n{text}\n}}")
            start += extents
        self._volumes.append("\n".join([*lines, "}"]))

    def create(self) -> None:
        """Empty files of the physical volumes; then the areas can be written."""
        for file, extents in zip(self.files, self._used, strict=True):
            empty_file(file, METADATA_AT + METADATA_SIZE + (extents + 1) * EXTENT)

    def finish(self) -> list[Path]:
        """Labels and metadata."""
        text = self._text()
        for number, file in enumerate(self.files):
            Area(file, 0).write(512, self._label(number, file.stat().st_size))
            Area(file, METADATA_AT).write(0, _metadata_header(text))
            Area(file, METADATA_AT).write(512, text)
        return self.files

    def _text(self) -> bytes:
        devices = [
            f'pv{number} {{\nid = "{identity(self._seed + file.name)}"\ndevice = "/dev/sd{number}"\n'
            f'status = ["ALLOCATABLE"]\nflags = []\ndev_size = {file.stat().st_size // 512}\n'
            f"pe_start = {(METADATA_AT + METADATA_SIZE) // 512}\npe_count = {self._used[number] + 1}\n}}"
            for number, file in enumerate(self.files)
        ]
        head = [
            f'{GROUP} {{\nid = "{identity(self._seed + GROUP)}"\nseqno = 3\nformat = "lvm2"',
            'status = ["RESIZEABLE", "READ", "WRITE"]\nflags = []',
            f"extent_size = {EXTENT // 512}\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0",
        ]
        parts = [*head, "physical_volumes {", *devices, "}", "logical_volumes {", *self._volumes, "}", "}"]
        tail = '# Generated\ncontents = "Text Format Volume Group"\nversion = 1\ndescription = ""\n'
        tail += 'creation_host = "any"\ncreation_time = 1700000000\n'
        return ("\n".join(parts) + "\n" + tail + "\n").encode() + b"\0"

    def _label(self, number: int, size: int) -> bytes:
        name = identity(self._seed + self.files[number].name).replace("-", "").encode()
        areas = struct.pack("<QQQQ", METADATA_AT + METADATA_SIZE, 0, 0, 0)
        areas += struct.pack("<QQQQ", METADATA_AT, METADATA_SIZE, 0, 0)
        header = struct.pack("<32sQ", name, size) + areas + struct.pack("<IIQQ", 1, 1, 0, 0)
        body = (struct.pack("<I8s", 32, b"LVM2 001") + header).ljust(512 - 20, b"\0")
        return struct.pack("<8sQI", b"LABELONE", 1, checksum(body)) + body


def _metadata_header(text: bytes) -> bytes:
    area = struct.pack("<QQII", 512, len(text), checksum(text), 0)
    body = (struct.pack("<16sIQQ", _MAGIC, 1, METADATA_AT, METADATA_SIZE) + area).ljust(508, b"\0")
    return struct.pack("<I", checksum(body)) + body


def checksum(data: bytes) -> int:
    """LVM's: CRC-32 with its own beginning and without a complement (lib/misc/crc.c)."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
