"""Arrays over members: stripes, mirrors, parity, RAID 10. Used by md and by LVM, whose RAID is the same driver.

The places of data and parity are those of the Linux driver: Documentation/admin-guide/md.rst, md(4), and raid5_layouts
of the device mapper's dm-raid.rst. All sizes here are bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.source import Source, check_range

Members = Sequence[Source | None]
"""By role; None is a member that is not there, or that is stale."""

MAX_MEMBERS = 384
"""As md has with a superblock of version 1."""


class Mirror:
    """RAID 1. All members are read and compared: which one a guest reads is chance, so that members with different
    bytes would be two guests in one image."""

    def __init__(self, members: Members, size: int, *, synchronized: int | None = None) -> None:
        """`synchronized`: from this byte on the members were never made equal, and the driver reads the first."""
        self._members = [member for member in members if member is not None]
        if not self._members:
            raise Unsupported("no member of a mirror is on this disk")
        if any(member.size < size for member in self._members):
            raise Broken("a member of a mirror is smaller than the mirror")
        self._synchronized = size if synchronized is None else synchronized
        self.size = size

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        data = self._members[0].pread(offset, count)
        compared = min(count, self._synchronized - offset)
        for member in self._members[1:] if compared > 0 else ():
            if member.pread(offset, compared) != data[:compared]:
                raise Broken(f"the members of a mirror have different bytes within {compared} bytes at {offset}")
        return data


class _Chunks(ABC):
    """An array whose bytes are spread in chunks."""

    def __init__(self, chunk: int, size: int, budget: Budget) -> None:
        if chunk < 512 or chunk % 512 or chunk > 1 << 30:
            raise Broken(f"an array has chunks of {chunk} bytes")
        if size <= 0:
            raise Broken(f"an array has {size} bytes")
        self._chunk = chunk
        self._budget = budget
        self.size = size

    def pread(self, offset: int, count: int) -> bytes:
        """See :class:`~douane_guest.source.Source`."""
        check_range(self, offset, count)
        parts = []
        while count:
            number, skip = divmod(offset, self._chunk)
            length = min(count, self._chunk - skip)
            self._budget.step()
            parts.append(self._read(number, skip, length))
            offset += length
            count -= length
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @abstractmethod
    def _read(self, number: int, skip: int, length: int) -> bytes:
        """Bytes of the chunk with this number, from `skip` on."""


class _Zone(NamedTuple):
    """A part of a RAID 0 in which the same members take part."""

    first: int
    """The number of its first chunk in the array."""

    row: int
    """The chunk of each member at which it begins."""

    members: list[Source]


class Striped(_Chunks):
    """RAID 0. Members may have different sizes: then the largest ones go on alone, in further zones."""

    def __init__(self, members: Members, chunk: int, budget: Budget, *, layout: int = 0) -> None:
        """`layout`: 1 (all kernels before 3.14) or 2, which matters only for several zones; 0 is unknown."""
        present = [member for member in members if member is not None]
        if len(present) < len(members) or not present:
            raise Unsupported("a member of a striped array is not on this disk")
        self._zones: list[_Zone] = []
        first = row = 0
        while True:
            rest = [member for member in present if member.size // max(chunk, 1) > row]
            if not rest or chunk < 512:
                break
            end = min(member.size // chunk for member in rest)
            self._zones.append(_Zone(first, row, rest))
            first += (end - row) * len(rest)
            row = end
        if len(self._zones) > 1 and layout not in (1, 2):
            raise Unsupported("a striped array of members of different sizes does not say which layout it has")
        self._by_array = layout == 1
        super().__init__(chunk, first * chunk, budget)

    def _read(self, number: int, skip: int, length: int) -> bytes:
        zone = next(zone for zone in reversed(self._zones) if zone.first <= number)
        inside = number - zone.first
        member = zone.members[(number if self._by_array else inside) % len(zone.members)]
        row = zone.row + inside // len(zone.members)
        return member.pread(row * self._chunk + skip, length)


class Slot(NamedTuple):
    """Where a chunk of data is in its row."""

    data: int
    syndrome: int
    """The member with Q, -1 if there is none."""


Layout = Callable[[int, int, int], Slot]
"""From the row, the number of the data chunk in it, and the count of members."""


class Parity(_Chunks):
    """RAID 4, 5 and 6. A member that is missing is computed from parity; a second one is not."""

    def __init__(
        self, members: Members, chunk: int, member_size: int, parities: int, layout: Layout, budget: Budget
    ) -> None:
        if len(members) <= parities:
            raise Broken(f"an array with {parities} parities has {len(members)} members")
        missing = sum(member is None for member in members)
        if missing > 1:
            raise Unsupported(f"{missing} members of an array with parity are not on this disk")
        if any(member is not None and member.size < member_size for member in members):
            raise Broken("a member of an array is smaller than the array says")
        self._members = members
        self._width = len(members) - parities
        self._layout = layout
        super().__init__(chunk, member_size // max(chunk, 1) * chunk * self._width, budget)

    def _read(self, number: int, skip: int, length: int) -> bytes:
        row, data = divmod(number, self._width)
        slot = self._layout(row, data, len(self._members))
        member = self._members[slot.data]
        position = row * self._chunk + skip
        if member is not None:
            return member.pread(position, length)
        result = 0
        for index, other in enumerate(self._members):
            if index not in (slot.data, slot.syndrome):
                if other is None:
                    raise Unsupported("two members of an array with parity are not on this disk")
                result ^= int.from_bytes(other.pread(position, length), "little")
        return result.to_bytes(length, "little")


class Tenfold(_Chunks):
    """RAID 10 with near, far and offset copies."""

    def __init__(
        self, members: Members, chunk: int, member_size: int, near: int, far: int, offset: bool, budget: Budget
    ) -> None:
        count = len(members)
        if not 1 <= near <= count or not 1 <= far <= count or near * far > count:
            raise Broken(f"RAID 10 with {near} near and {far} far copies on {count} members")
        if any(member is not None and member.size < member_size for member in members):
            raise Broken("a member of an array is smaller than the array says")
        self._members = members
        self._near = near
        self._far = far
        self._offset = offset
        rows = member_size // max(chunk, 1)
        self._stride = (1 if offset else rows // far) * chunk
        super().__init__(chunk, rows // far * count // near * chunk, budget)

    def _read(self, number: int, skip: int, length: int) -> bytes:
        copies = [
            member.pread(position + skip, length)
            for index, position in self._places(number)
            if (member := self._members[index]) is not None
        ]
        if not copies:
            raise Unsupported("all copies of a part of RAID 10 are on members that are not on this disk")
        if any(data != copies[0] for data in copies[1:]):
            raise Broken(f"the copies of chunk {number} of RAID 10 have different bytes")
        return copies[0]

    def _places(self, number: int) -> list[tuple[int, int]]:
        """The members with copies, and the place in each."""
        count = len(self._members)
        row, index = divmod(number * self._near, count)
        position = row * (self._far if self._offset else 1) * self._chunk
        places = []
        for _ in range(self._near):
            places += [((index + far * self._near) % count, position + far * self._stride) for far in range(self._far)]
            index += 1
            if index == count:
                index = 0
                position += self._chunk * (self._far if self._offset else 1)
        return places
