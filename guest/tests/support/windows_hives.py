"""Hives of the registry of Windows."""

from __future__ import annotations

import struct


class HiveBuilder:
    """Cells of a hive, one behind the other."""

    def __init__(self) -> None:
        self.cells = b""

    def cell(self, data: bytes) -> int:
        offset = len(self.cells) + 32
        size = -(-(len(data) + 4) // 8) * 8
        self.cells += struct.pack("<i", -size) + data.ljust(size - 4, b"\0")
        return offset

    def key(self, name: str, children: list[int], values: list[int]) -> int:
        below = self.cell(
            struct.pack("<2sH", b"lh", len(children)) + b"".join(struct.pack("<II", c, 0) for c in children)
        )
        table = self.cell(b"".join(struct.pack("<I", value) for value in values) or b"\0")
        fields = struct.pack("<2sHQIIIIII", b"nk", 0x20, 0, 0, 0, len(children), 0, below, 0)
        fields += struct.pack("<IIIIIIIIIHH", len(values), table, 0, 0, 0, 0, 0, 0, 0, len(name), 0)
        return self.cell(fields[:72] + struct.pack("<HH", len(name), 0) + name.encode())

    def value(self, name: str, value: str | int) -> int:
        if isinstance(value, int):
            head = struct.pack("<2sHIIIHH", b"vk", len(name), 4 | 1 << 31, value, 4, 1, 0)
        else:
            data = value.encode("utf-16-le") + b"\0\0"
            head = struct.pack("<2sHIIIHH", b"vk", len(name), len(data), self.cell(data), 1, 1, 0)
        return self.cell(head + name.encode())

    def hive(self, root: int) -> bytes:
        head = b"regf".ljust(36, b"\0") + struct.pack("<I", root)
        return head.ljust(4096, b"\0") + b"hbin".ljust(32, b"\0") + self.cells.ljust(8192, b"\0")


def windows_hive() -> bytes:
    builder = HiveBuilder()
    values = {
        "ProductName": "Windows Server 2022",
        "CurrentBuild": "20348",
        "CurrentMajorVersionNumber": 10,
        "CurrentMinorVersionNumber": 0,
    }
    version = builder.key("CurrentVersion", [], [builder.value(name, value) for name, value in values.items()])
    microsoft = builder.key("Microsoft", [builder.key("Windows NT", [version], [])], [])
    return builder.hive(builder.key("ROOT", [microsoft], []))
