"""Virtual disks made by hand: what no tool would make, and what no tool that is at hand here makes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from douane.plugins.formats.codes import CODES
from douane.plugins.formats.examination import Examination
from support.examination import examine

SECTOR = 512
GRAIN = 128
TEXT = """# Disk DescriptorFile
version=1
CID=1234abcd
parentCID=ffffffff
createType="{kind}"

# Extent description
{extents}

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
"""


def refused(image: bytes | Examination) -> set[str]:
    """The codes of findings that are refused by default."""
    found = image if isinstance(image, Examination) else examine(image)
    return {finding.code for finding in found.findings if CODES[finding.code][0] == "refuse"}


def details(examination: Examination) -> str:
    """What all findings say."""
    return "\n".join(finding.detail for finding in examination.findings)


def fields(examination: Examination) -> dict[str, int | str]:
    """The fields of the first format found, by name."""
    return {field.name: field.value for field in examination.matches[0].fields}


def patched(image: bytes, at: int, layout: str, *values: int | bytes) -> bytes:
    """`image` with other values at `at`."""
    changed = bytearray(image)
    if at < 0:
        at += len(image)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)


def text(extents: str, kind: str = "monolithicFlat", **more: str) -> bytes:
    """A descriptor; `more` are further keys."""
    lines = "".join(f'{key}="{value}"\n' for key, value in more.items())
    return (TEXT.format(kind=kind, extents=extents) + lines).encode()


def sparse_header(capacity: int, *, compressed: bool, directory: int, redundant: int = 0, overhead: int = 128) -> bytes:
    """The header of a hosted sparse extent."""
    flags = 0x30001 if compressed else 1 | (2 if redundant else 0)
    return struct.pack(
        "<4sII4QI3QB4sH",
        *(b"KDMV", 3 if compressed else 1, flags, capacity, GRAIN, 1, 20, 512),
        *(redundant, directory, overhead, 0, b"\n \r\n", int(compressed)),
    ).ljust(SECTOR, b"\0")


AT_END = (1 << 64) - 1


class StreamMaker:
    """A stream-optimized extent as VMware's tools write it: tables and directory behind the grains, and a footer."""

    def __init__(self, grains: int = 3, descriptor: bytes | None = None) -> None:
        self.capacity = grains * GRAIN
        told = descriptor or text(f'RDONLY {self.capacity} SPARSE "generated-stream.vmdk"', "streamOptimized")
        self.image = bytearray(sparse_header(self.capacity, compressed=True, directory=AT_END))
        self.image += told.ljust(20 * SECTOR, b"\0")
        self.image = self.image.ljust(GRAIN * SECTOR, b"\0")
        self.entries = [0] * 512

    def marker(self, value: int, kind: int) -> None:
        """A marker that is no grain's."""
        self.image += struct.pack("<QII", value, 0, kind).ljust(SECTOR, b"\0")

    def grain(self, number: int, data: bytes | None = None) -> None:
        """A grain; `data` is what is packed."""
        packed = zlib.compress(bytes([number % 255 + 1]) * (GRAIN * SECTOR)) if data is None else data
        self.entries[number % 512] = self.sector
        self.image += struct.pack("<QI", number * GRAIN, len(packed)) + packed
        self.image += bytes(-len(self.image) % SECTOR)

    @property
    def sector(self) -> int:
        """Where the next thing will stand."""
        return len(self.image) // SECTOR

    def finish(
        self, entries: Iterable[int] | None = None, table: int | None = None, footer: dict[str, int] | None = None
    ) -> bytes:
        """The image, with its tables, directory and footer; `entries` and the sector of the `table` may lie."""
        self.marker(4, 1)
        at = self.sector
        self.image += struct.pack("<512I", *(self.entries if entries is None else entries))
        self.marker(1, 2)
        directory = self.sector
        self.image += struct.pack("<I", at if table is None else table).ljust(SECTOR, b"\0")
        self.marker(1, 3)
        told = {"capacity": self.capacity, "directory": directory} | (footer or {})
        self.image += sparse_header(told["capacity"], compressed=True, directory=told["directory"])
        self.marker(0, 0)
        return bytes(self.image)


def stream(grains: int = 3) -> bytes:
    """A sound stream-optimized extent."""
    maker = StreamMaker(grains)
    for number in range(grains):
        maker.grain(number)
    return maker.finish()


def vhd_footer(size: int, kind: int, *, creator: bytes = b"win ", geometry: tuple[int, int, int] = (2, 4, 17)) -> bytes:
    """The footer of a VHD, with its checksum."""
    following = AT_END if kind == 2 else 512
    footer = struct.pack(">8sIIQI4sI4s", b"conectix", 2, 0x10000, following, 0, creator, 0x50003, b"Wi2k")
    footer += struct.pack(">QQHBBI", size, size, *geometry, kind)
    return vhd_summed(footer.ljust(512, b"\0"), 64)


def vhd_summed(data: bytes, at: int) -> bytes:
    """`data` with the checksum at `at` that fits."""
    blank = data[:at] + bytes(4) + data[at + 4 :]
    return data[:at] + struct.pack(">I", ~sum(blank) & 0xFFFFFFFF) + data[at + 4 :]


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 * (value & 1))
    return value ^ 0xFFFFFFFF


def vhdx_summed(image: bytes, at: int, length: int) -> bytes:
    """`image` with the checksum that fits in the header or region table at `at`."""
    blank = image[at : at + 4] + bytes(4) + image[at + 8 : at + length]
    return patched(image, at + 4, "<I", crc32c(blank))
