"""The table of all files, and the attributes of a file, which may lie in several of its records."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from douane_guest.errors import Broken, TooMuch

from . import record as records
from .boot import Boot
from .record import NUMBER, Attribute, Record, Type
from .runs import Run, unpack
from .stream import Disk, Map, pieces, runs_of, size_of

_PAGE = 64 << 10
_PAGES = 32
_LISTED = struct.Struct("<IHBBQQH")
_MOST_LIST = 256 << 10
"""The most that Windows writes."""

_MOST_PACKED = 16 << 20
"""Of the attributes of a file, in memory."""


class _Listed(NamedTuple):
    """A part of an attribute, as the list of a file's attributes names it."""

    type: int
    name: str
    first: int
    reference: int
    instance: int


class File:
    """A file: its first record, and all attributes of it, those with the same type and name in their order."""

    def __init__(self, record: Record, attributes: Iterable[Attribute]) -> None:
        self.record = record
        self.attributes: dict[tuple[int, str], list[Attribute]] = {}
        for attribute in attributes:
            self.attributes.setdefault(attribute[:2], []).append(attribute)

    def parts(self, kind: int, name: str = "") -> list[Attribute]:
        """An attribute."""
        return self.attributes.get((kind, name), [])

    def value(self, kind: int, name: str = "") -> bytes | None:
        """That of an attribute that must be resident; None if the file has it not."""
        for attribute in self.parts(kind, name):
            if attribute.value is None:
                raise Broken(f"the attribute {kind:#x} of record {self.record.number} of NTFS is not in its record")
            return attribute.value
        return None

    def streams(self) -> list[str]:
        """The names of those of its streams that have one."""
        return [name for kind, name in self.attributes if kind == Type.DATA and name]


class Table:
    """The table. Its own first record says where it lies."""

    def __init__(self, disk: Disk, boot: Boot) -> None:
        self._disk = disk
        self._record = boot.record
        self._pages: dict[int, bytes] = {}
        disk.budget.step()
        first = records.parse(disk.source.pread(boot.mft, boot.record), 0)
        data = [attribute for attribute in first.attributes if attribute.type == Type.DATA and not attribute.name]
        if not data or data[0].extent is None:
            raise Broken("the table of files of NTFS does not say where it lies")
        self._map = Map(disk)
        self._grow(first, data)

    def _grow(self, first: Record, data: list[Attribute]) -> None:
        """Read where the table lies, of which each part is in a record that the parts before it hold."""
        self._map.size = size_of(data)
        self._map.extend(_leading(self._disk, data))
        listed = [
            attribute
            for attribute in self._listed(first)
            if attribute.type == Type.DATA and not attribute.name and attribute.first
        ]
        for attribute in listed:
            data.append(self._part(first, attribute))
            self._map.extend(_leading(self._disk, data[-1:]))
        for _ in runs_of(self._disk, data):
            pass

    def file(self, number: int, sequence: int | None = None) -> File:
        """The file whose first record has a number, and was used so often."""
        first = self._load(number)
        if first.base & NUMBER or (sequence is not None and first.sequence != sequence):
            raise Broken(f"record {number} of NTFS is not the file that a folder names")
        if not any(attribute.type == Type.ATTRIBUTE_LIST for attribute in first.attributes):
            return File(first, first.attributes)
        attributes, size = [], 0
        for attribute in self._listed(first):
            attributes.append(self._part(first, attribute))
            size += len(attributes[-1].value or b"") + (len(extent.pairs) if (extent := attributes[-1].extent) else 0)
            if size > _MOST_PACKED:
                raise TooMuch(f"record {number} of NTFS has more than {_MOST_PACKED} bytes of attributes")
        return File(first, attributes)

    def _load(self, number: int) -> Record:
        self._disk.budget.step()
        place = number * self._record
        page = place // _PAGE
        data = self._pages.get(page)
        if data is None:
            end = min((page + 1) * _PAGE, self._map.size)
            data = self._map.read(page * _PAGE, end - page * _PAGE) if end > page * _PAGE else b""
            while len(self._pages) >= _PAGES:
                del self._pages[next(iter(self._pages))]
            self._pages[page] = data
        body = data[place - page * _PAGE : place - page * _PAGE + self._record]
        if len(body) < self._record:
            raise Broken(f"record {number} of NTFS lies beyond the end of its table")
        return records.parse(body, number)

    def _part(self, first: Record, listed: _Listed) -> Attribute:
        number = listed.reference & NUMBER
        holder = first if number == first.number else self._load(number)
        if holder.sequence != listed.reference >> 48 or (holder is not first and holder.base & NUMBER != first.number):
            raise Broken(f"record {number} of NTFS does not belong to the file with record {first.number}")
        for attribute in holder.attributes:
            if (attribute.type, attribute.name, attribute.instance) == (listed.type, listed.name, listed.instance):
                if (attribute.extent.first if attribute.extent else 0) != listed.first:
                    break
                return attribute
        raise Broken(f"record {number} of NTFS has not the attribute that the list of record {first.number} names")

    def _listed(self, first: Record) -> Iterator[_Listed]:
        """What the list of a record names; nothing if it has none."""
        parts = [attribute for attribute in first.attributes if attribute.type == Type.ATTRIBUTE_LIST]
        if not parts:
            return
        size = size_of(parts)
        if size > _MOST_LIST or len(parts) > 1:
            raise Broken(f"the list of attributes of record {first.number} of NTFS has {size} bytes")
        data = bytearray(size)
        for offset, piece in pieces(self._disk, parts):
            data[offset : offset + len(piece)] = piece
        place = 0
        while place + _LISTED.size <= size:
            self._disk.budget.step()
            kind, length, name_length, name_place, lowest, reference, instance = _LISTED.unpack_from(data, place)
            if (
                length < _LISTED.size
                or place + length > size
                or (name_length and name_place + 2 * name_length > length)
            ):
                raise Broken(f"the list of attributes of record {first.number} of NTFS is damaged")
            name = bytes(data[place + name_place : place + name_place + 2 * name_length])
            yield _Listed(kind, name.decode("utf-16-le", "surrogatepass"), lowest, reference, instance)
            place += length


def _leading(disk: Disk, parts: list[Attribute]) -> Iterator[Run]:
    for part in parts:
        if part.extent is None:
            raise Broken("a part of the table of files of NTFS is not where it should be")
        for run in unpack(part.extent.pairs, part.extent.first, disk.clusters):
            disk.budget.step()
            yield run
