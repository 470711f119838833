"""VMDK descriptors and sparse extents, field by field."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from . import SECTOR

GRAIN = 128
AT_END = (1 << 64) - 1
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


def vmdk_text(extents: str, kind: str = "monolithicFlat", **keys: str) -> bytes:
    """A descriptor with these extents and further keys."""
    lines = "".join(f'{key}="{value}"\n' for key, value in keys.items())
    return (TEXT.format(kind=kind, extents=extents) + lines).encode()


def sparse_header(capacity: int, *, compressed: bool, directory: int, redundant: int = 0, overhead: int = 128) -> bytes:
    """The header of a hosted sparse extent."""
    flags = 0x30001 if compressed else 1 | (2 if redundant else 0)
    return struct.pack(
        "<4sII4QI3QB4sH",
        *(b"KDMV", 3 if compressed else 1, flags, capacity, GRAIN, 1, 20, 512),
        *(redundant, directory, overhead, 0, b"\n \r\n", int(compressed)),
    ).ljust(SECTOR, b"\0")


class StreamMaker:
    """A stream-optimized extent as VMware's tools write it: tables and directory behind the grains, and a footer."""

    def __init__(self, grains: int = 3, descriptor: bytes | None = None) -> None:
        self.capacity = grains * GRAIN
        text = descriptor or vmdk_text(f'RDONLY {self.capacity} SPARSE "generated-stream.vmdk"', "streamOptimized")
        self.image = bytearray(sparse_header(self.capacity, compressed=True, directory=AT_END))
        self.image += text.ljust(20 * SECTOR, b"\0")
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
        fields = {"capacity": self.capacity, "directory": directory} | (footer or {})
        self.image += sparse_header(fields["capacity"], compressed=True, directory=fields["directory"])
        self.marker(0, 0)
        return bytes(self.image)


def stream(grains: int = 3) -> bytes:
    """A sound stream-optimized extent."""
    maker = StreamMaker(grains)
    for number in range(grains):
        maker.grain(number)
    return maker.finish()
