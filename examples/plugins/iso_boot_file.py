"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "iso-boot-file"
    use = "plugins/iso_boot_file.py:IsoBootFile"
    config = { path = "EFI/BOOT/BOOTX64.EFI" }

Shows ``reads = "random"``: the plugin finds a file in an ISO 9660 file system (ECMA-119) by seeking from the volume
descriptor to the root directory, and from folder to folder. ``image.file`` is an ordinary binary file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from douane_plugin import Image, Incomplete, Inspector, Reject

SECTOR = 2048
FIRST_DESCRIPTOR = 16
MAX_DESCRIPTORS = 32
MAX_SECTORS = 1024
"""Sectors of a folder, which hold tens of thousands of names. A larger folder is not read."""


class Entry(NamedTuple):
    """A directory record of a file or folder."""

    name: str
    start: int
    size: int
    is_folder: bool


class IsoBootFile(Inspector):
    """Refuse an ISO image without a certain file. Accept all other images.

    `path` is the path of the file from the root, in the names of ISO 9660 itself: capital letters, no version number.
    The plugin ignores Rock Ridge, Joliet and UDF.
    """

    reads = "random"

    def __init__(self, path: str = "EFI/BOOT/BOOTX64.EFI"):
        self.path = path
        self.parts = path.strip("/").upper().split("/")
        if not all(self.parts):
            raise ValueError("path: the path of a file from the root, such as 'EFI/BOOT/BOOTX64.EFI'")

    def inspect(self, image: Image) -> dict[str, str | int] | None:
        file = image.file
        length = file.seek(0, 2)
        entry = self._root(file)
        if entry is None:
            return None
        for number, part in enumerate(self.parts, 1):
            wants_folder = number < len(self.parts)
            for candidate in self._entries(file, entry):
                if candidate.name == part and candidate.is_folder == wants_folder:
                    entry = candidate
                    break
            else:
                raise Reject(
                    "iso-file-missing",
                    f"the ISO image does not have {self.path}, so it would not boot here; add the file",
                )
        if entry.start + entry.size > length:
            raise self._cut_off()
        return {"boot_file": self.path, "boot_file_bytes": entry.size}

    def _root(self, file: BinaryIO) -> Entry | None:
        """Return the root directory of the primary volume descriptor; None if the image is not ISO 9660."""
        for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + MAX_DESCRIPTORS):
            file.seek(number * SECTOR)
            descriptor = file.read(SECTOR)
            if descriptor[1:6] != b"CD001":
                return None
            if len(descriptor) < SECTOR:
                raise self._cut_off()
            if descriptor[0] == 1:
                if struct.unpack_from("<H", descriptor, 128) != (SECTOR,):
                    raise Incomplete(
                        "iso-odd-blocks", "the ISO image has blocks of an unusual size; make it with 2048 bytes"
                    )
                return self._entry(descriptor[156:190])
            if descriptor[0] == 255:
                return None
        return None

    def _entries(self, file: BinaryIO, folder: Entry) -> Iterator[Entry]:
        """Yield the entries of a folder, sector by sector: no record crosses one (ECMA-119, 6.8.1.1)."""
        sectors = -(-folder.size // SECTOR)
        if sectors > MAX_SECTORS:
            raise Incomplete(
                "iso-folder-too-large",
                f"a folder of the ISO image claims to have {folder.size} bytes; make the image with smaller folders",
            )
        for number in range(sectors):
            file.seek(folder.start + number * SECTOR)
            sector = file.read(SECTOR)
            if len(sector) < SECTOR:
                raise self._cut_off()
            offset = 0
            while offset < SECTOR and (length := sector[offset]):
                record = sector[offset : offset + length]
                if len(record) < 34 or offset + length > SECTOR or 33 + record[32] > length:
                    raise Reject("iso-damaged", "a folder of the ISO image is damaged; make the image again")
                yield self._entry(record)
                offset += length

    def _entry(self, record: bytes) -> Entry:
        extent, size = struct.unpack_from("<I4xI", record, 2)
        name = record[33 : 33 + record[32]].decode("ascii", "replace").partition(";")[0].rstrip(".").upper()
        return Entry(name, (extent + record[1]) * SECTOR, size, bool(record[25] & 2))

    def _cut_off(self) -> Incomplete:
        return Incomplete("iso-cut-off", "the ISO image ends within its files; upload it again, as a whole")
