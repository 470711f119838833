"""A small reader of a Windows registry hive: a key by its path, and the values of a key.

Source: Maxim Suhanov, "Windows registry file format specification". The transaction logs beside a hive are not
applied: `clean` says whether there may be any to apply. Six of ten real hives were not closed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from .budget import Budget
from .errors import Broken, Unsupported
from .source import Source

BASE = 4096
"""Where the first bin begins; offsets of cells count from here."""
MAX_CELL = 1 << 20
MAX_VALUES = 4096
MAX_DEPTH = 4
_KEY = struct.Struct("<2sHQ15IHH")
_VALUE = struct.Struct("<2sHIIIHH")
_IN_PLACE = 1 << 31
_TEXT, _EXPANDED, _NUMBER = 1, 2, 4


class Hive:
    """An open hive."""

    def __init__(self, source: Source, budget: Budget) -> None:
        head = source.pread(0, 512) if source.size >= BASE else b""
        if head[:4] != b"regf":
            raise Broken("a hive of the registry does not begin with its signature")
        self._source = source
        self._budget = budget
        self._root = int.from_bytes(head[36:40], "little")
        self.clean = head[4:8] == head[8:12]
        """False: it was being changed, and the last changes may be in its logs alone."""

    def key(self, path: Sequence[str]) -> int:
        """The cell of a key. Raises Unsupported if there is none."""
        cell = self._root
        for name in path:
            matches = [child for child in self._children(cell) if self._key_name(child).casefold() == name.casefold()]
            if not matches:
                raise Unsupported(f"the registry has no key {name!r}")
            cell = matches[0]
        return cell

    def values(self, cell: int) -> dict[str, str | int]:
        """Texts and numbers of a key by name; values of other types are left out."""
        fields = self._fields(cell)
        count, table = fields[9], fields[10]
        if not count:
            return {}
        if count > MAX_VALUES:
            raise Broken(f"a key of the registry has {count} values")
        values: dict[str, str | int] = {}
        for (offset,) in struct.iter_unpack("<I", self._cell(table, 4 * count)[: 4 * count]):
            self._budget.step()
            name, value = self._value(offset)
            if value is not None:
                values.setdefault(name, value)
        return values

    def _cell(self, offset: int, least: int) -> bytes:
        """The bytes of a cell that is in use."""
        self._budget.step()
        size = -struct.unpack("<i", self._source.pread(BASE + offset, 4))[0]
        if not least + 4 <= size <= MAX_CELL:
            raise Broken(f"a cell of the registry at {offset} has {size} bytes")
        self._budget.step(size // 64)  # many keys may share a large cell
        return self._source.pread(BASE + offset + 4, size - 4)

    def _fields(self, cell: int) -> tuple[int, ...]:
        data = self._cell(cell, _KEY.size)
        fields: tuple[int, ...] = _KEY.unpack_from(data)
        if data[:2] != b"nk":
            raise Broken(f"the cell of the registry at {cell} is no key")
        return fields

    def _key_name(self, cell: int) -> str:
        data = self._cell(cell, _KEY.size)
        fields = _KEY.unpack_from(data)
        length = fields[18]
        if _KEY.size + length > len(data):
            raise Broken("the name of a key of the registry is longer than its cell")
        return _name(data[_KEY.size : _KEY.size + length], compressed=bool(fields[1] & 0x20))

    def _children(self, cell: int) -> Iterator[int]:
        fields = self._fields(cell)
        if fields[5]:
            yield from self._list(fields[7], 0)

    def _list(self, offset: int, depth: int) -> Iterator[int]:
        if depth > MAX_DEPTH:
            raise Broken("lists of keys of the registry lie in each other")
        data = self._cell(offset, 4)
        kind, count = struct.unpack_from("<2sH", data)
        width = 8 if kind in (b"lf", b"lh") else 4
        if kind not in (b"lf", b"lh", b"li", b"ri") or 4 + width * count > len(data):
            raise Broken(f"the cell of the registry at {offset} is no list of keys")
        for index in range(count):
            self._budget.step()
            (child,) = struct.unpack_from("<I", data, 4 + width * index)
            if kind == b"ri":
                yield from self._list(child, depth + 1)
            else:
                yield child

    def _value(self, cell: int) -> tuple[str, str | int | None]:
        data = self._cell(cell, _VALUE.size)
        kind, length, size, offset, form, flags, _ = _VALUE.unpack_from(data)
        if kind != b"vk" or _VALUE.size + length > len(data):
            raise Broken(f"the cell of the registry at {cell} is no value")
        name = _name(data[_VALUE.size : _VALUE.size + length], compressed=bool(flags & 1))
        if form not in (_TEXT, _EXPANDED, _NUMBER):
            return name, None
        if size & _IN_PLACE:
            content = struct.pack("<I", offset)[: min(size & ~_IN_PLACE, 4)]
        else:
            content = self._cell(offset, size)[:size]
        if form == _NUMBER:
            return name, int.from_bytes(content[:4], "little")
        return name, content.decode("utf-16-le", "replace").partition("\0")[0]


def _name(data: bytes, *, compressed: bool) -> str:
    return data.decode("latin-1" if compressed else "utf-16-le", "replace")
