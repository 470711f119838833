"""The bytes of attributes that lie outside of their record: plain, sparse and compressed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source

from . import lznt1
from .record import Attribute, Extent
from .runs import Run, unpack

PIECE = 1 << 20
"""The most bytes that are read at once."""

_COMPRESSION, _LZNT1, _ENCRYPTED = 0x00FF, 1, 0x4000


class Disk(NamedTuple):
    """What every attribute is read from."""

    source: Source
    cluster: int
    clusters: int
    budget: Budget


def size_of(parts: Sequence[Attribute]) -> int:
    """Of an attribute, in bytes."""
    if not parts:
        return 0
    value, extent = parts[0].value, parts[0].extent
    return len(value) if value is not None else extent.size if extent else 0


def runs_of(disk: Disk, parts: Sequence[Attribute]) -> Iterator[Run]:
    """All runs of an attribute. Raises Broken for parts that overlap, or between which one is missing."""
    position = 0
    for part in parts:
        if part.extent is None or part.extent.first != position:
            raise Broken("the parts of an attribute of NTFS do not follow each other")
        for run in unpack(part.extent.pairs, position, disk.clusters):
            disk.budget.step()
            yield run
            position = run.first + run.length
    if position * disk.cluster < size_of(parts):
        raise Broken(f"an attribute of NTFS has {size_of(parts)} bytes and {position} clusters, which are too few")


def pieces(disk: Disk, parts: Sequence[Attribute], start: int = 0) -> Iterator[tuple[int, bytes]]:
    """The bytes of an attribute, as `chunks` of a file system gives them."""
    if not parts:
        return
    head = parts[0]
    if head.flags & _ENCRYPTED:
        raise Unsupported("the file is encrypted by NTFS", "guest-encrypted")
    if head.extent is None:
        if len(parts) > 1:
            raise Broken("a file of NTFS has two streams with the same name")
        if head.value:
            yield 0, head.value
        return
    runs = runs_of(disk, parts)
    if head.flags & _COMPRESSION and head.extent.unit:
        if head.flags & _COMPRESSION != _LZNT1:
            raise Unsupported(f"the file is compressed by the unknown method {head.flags & _COMPRESSION} of NTFS")
        parted = _compressed(disk, runs, head.extent, start)
    else:
        parted = _plain(disk, runs, min(head.extent.size, head.extent.valid), start)
    yield from parted


def _plain(disk: Disk, runs: Iterator[Run], end: int, start: int) -> Iterator[tuple[int, bytes]]:
    for run in runs:
        position = run.first * disk.cluster
        stop = min(position + run.length * disk.cluster, end)
        if run.cluster is None or stop <= start:
            continue
        begin = max(position, start - start % PIECE)
        while begin < stop:
            count = min(PIECE, stop - begin)
            yield begin, disk.source.pread(run.cluster * disk.cluster + begin - position, count)
            begin += count


def _compressed(disk: Disk, runs: Iterator[Run], extent: Extent, start: int) -> Iterator[tuple[int, bytes]]:
    """Of units that are written in full the clusters are the bytes; of others they are compressed."""
    per = 1 << extent.unit
    if per * disk.cluster > PIECE:
        raise Unsupported(f"NTFS compresses {per * disk.cluster} bytes together, more than is read at once")
    end = min(extent.size, extent.valid)
    for group in _units(runs, per):
        position = group[0].first * disk.cluster
        length = sum(run.length for run in group)
        stop = min(position + max(length, per) * disk.cluster, end)
        if stop <= start or position >= end:
            continue
        if len(group) == 1 and length >= per:
            yield from _plain(disk, iter(group), stop, start)
        elif all(run.cluster is not None for run in group) and length == per:
            yield position, _joined(disk, group)[: stop - position]
        elif data := lznt1.decompress(_written(disk, group), stop - position):
            yield position, data


def _written(disk: Disk, group: list[Run]) -> bytes:
    """The compressed bytes of a unit: its first clusters; the others are a hole."""
    written = [run for run in group if run.cluster is not None]
    if group[: len(written)] != written:
        raise Broken("a compressed unit of NTFS has a hole before its end")
    return _joined(disk, written)


def _joined(disk: Disk, group: list[Run]) -> bytes:
    return b"".join(
        disk.source.pread(run.cluster * disk.cluster, run.length * disk.cluster)
        for run in group
        if run.cluster is not None
    )


def _units(runs: Iterator[Run], per: int) -> Iterator[list[Run]]:
    """The runs cut where units of `per` clusters begin; a run of many units stays as it is."""
    group: list[Run] = []
    for run in runs:
        first, length, cluster = run
        while length:
            into = first % per
            count = length - length % per if not into and length >= per else min(length, per - into)
            group.append(Run(first, count, cluster))
            first, length = first + count, length - count
            cluster = None if cluster is None else cluster + count
            if first % per == 0:
                yield group
                group = []
    if group:
        yield group


class Map:
    """An attribute of which any bytes can be read."""

    def __init__(self, disk: Disk, parts: Sequence[Attribute] = ()) -> None:
        self._disk = disk
        self._value = parts[0].value if parts else None
        self.size = size_of(parts)
        self._runs: list[Run] = []
        self._firsts: list[int] = []
        if parts and self._value is None:
            self.extend(runs_of(disk, parts))

    def extend(self, runs: Iterator[Run]) -> None:
        """Further runs."""
        for run in runs:
            self._runs.append(run)
            self._firsts.append(run.first)

    def read(self, offset: int, count: int) -> bytes:
        """Raises Broken beyond the end, and in a hole."""
        if offset < 0 or offset + count > self.size:
            raise Broken(f"{count} bytes at {offset} lie beyond the end of an attribute of NTFS with {self.size}")
        if self._value is not None:
            return self._value[offset : offset + count]
        cluster, data = self._disk.cluster, b""
        while len(data) < count:
            index = bisect_right(self._firsts, (offset + len(data)) // cluster) - 1
            run = self._runs[index] if index >= 0 else None
            into = offset + len(data) - run.first * cluster if run else 0
            if run is None or run.cluster is None or into >= run.length * cluster:
                raise Broken("a structure of NTFS lies in a hole")
            some = min(count - len(data), run.length * cluster - into)
            data += self._disk.source.pread(run.cluster * cluster + into, some)
        return data
