"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "iso-boot-file"
    use = "plugins/iso_boot_file.py:IsoBootFile"
    config = { path = "EFI/BOOT/BOOTX64.EFI" }

Shows ``reads = "random"``: in an ISO 9660 file system (ECMA-119) a file is found by seeking from the volume descriptor
to the root directory, and from folder to folder. ``image.file`` is an ordinary binary file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from douane_plugin import Image, Incomplete, Inspector, Reject

SECTOR = 2048
FIRST_DESCRIPTOR = 16
MOST_DESCRIPTORS = 32
MOST_SECTORS = 1024
"""Of one folder, which is room for tens of thousands of names. What says that it is larger is not read."""


class Entry(NamedTuple):
    """What a directory record says of a file or folder."""

    name: str
    start: int
    size: int
    is_folder: bool


class IsoBootFile(Inspector):
    """Refuse an ISO image in which a certain file is missing. Any other image passes.

    `path` is the file, from the root, in the names of ISO 9660 itself: capital letters, no version number. Rock Ridge,
    Joliet and UDF are not looked at.
    """

    reads = "random"

    def __init__(self, path: str = "EFI/BOOT/BOOTX64.EFI"):
        self.path = path
        self.parts = path.strip("/").upper().split("/")
        if not all(self.parts):
            raise ValueError("path: a file from the root on, such as 'EFI/BOOT/BOOTX64.EFI'")

    def inspect(self, image: Image) -> dict[str, str | int] | None:
        file = image.file
        length = file.seek(0, 2)
        place = self._root(file)
        if place is None:
            return None
        for number, part in enumerate(self.parts, 1):
            wants_folder = number < len(self.parts)
            for entry in self._entries(file, place):
                if entry.name == part and entry.is_folder == wants_folder:
                    place = entry
                    break
            else:
                raise Reject(
                    "iso-file-missing",
                    f"{self.path} is not in the ISO image, so that it would not boot here; make the image with it",
                )
        if place.start + place.size > length:
            raise self._cut_off()
        return {"boot_file": self.path, "boot_file_bytes": place.size}

    def _root(self, file: BinaryIO) -> Entry | None:
        """The root directory after the primary volume descriptor; None if this is no ISO 9660."""
        for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + MOST_DESCRIPTORS):
            file.seek(number * SECTOR)
            descriptor = file.read(SECTOR)
            if descriptor[1:6] != b"CD001":
                return None
            if len(descriptor) < SECTOR:
                raise self._cut_off()
            if descriptor[0] == 1:
                if struct.unpack_from("<H", descriptor, 128) != (SECTOR,):
                    raise Incomplete(
                        "iso-odd-blocks", "the ISO image has blocks of an odd size; make it with 2048 bytes"
                    )
                return self._entry(descriptor[156:190])
            if descriptor[0] == 255:
                return None
        return None

    def _entries(self, file: BinaryIO, folder: Entry) -> Iterator[Entry]:
        """What is in a folder, read sector by sector: no record crosses a sector's end (ECMA-119, 6.8.1.1)."""
        sectors = -(-folder.size // SECTOR)
        if sectors > MOST_SECTORS:
            raise Incomplete(
                "iso-folder-too-large",
                f"a folder of the ISO image claims to have {folder.size} bytes; make the image with smaller folders",
            )
        for number in range(sectors):
            file.seek(folder.start + number * SECTOR)
            sector = file.read(SECTOR)
            if len(sector) < SECTOR:
                raise self._cut_off()
            at = 0
            while at < SECTOR and (length := sector[at]):
                record = sector[at : at + length]
                if len(record) < 34 or at + length > SECTOR or 33 + record[32] > length:
                    raise Reject("iso-damaged", "a folder of the ISO image is damaged; make the image anew")
                yield self._entry(record)
                at += length

    def _entry(self, record: bytes) -> Entry:
        extent, size = struct.unpack_from("<I4xI", record, 2)
        name = record[33 : 33 + record[32]].decode("ascii", "replace").partition(";")[0].rstrip(".").upper()
        return Entry(name, (extent + record[1]) * SECTOR, size, bool(record[25] & 2))

    def _cut_off(self) -> Incomplete:
        return Incomplete("iso-cut-off", "the ISO image ends within its own files; upload it again, as a whole")
