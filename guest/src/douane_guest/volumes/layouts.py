"""In which member of RAID 4, 5 and 6 a chunk of data is, by the number of the layout that md and dm-raid use."""

# ruff: noqa: ARG001 - all layouts have the same arguments.
from __future__ import annotations

from douane_guest.errors import Unsupported

from .raid import Layout, Slot


def parity_last(row: int, data: int, count: int) -> Slot:
    """RAID 4, and RAID 5 as "parity N"."""
    return Slot(data, -1)


def _parity_first(row: int, data: int, count: int) -> Slot:
    return Slot(data + 1, -1)


def _rotating(*, left: bool, symmetric: bool) -> Layout:
    """The four of RAID 5."""

    def place(row: int, data: int, count: int) -> Slot:
        parity = count - 1 - row % count if left else row % count
        if symmetric:
            return Slot((parity + 1 + data) % count, -1)
        return Slot(data + (data >= parity), -1)

    return place


def _double(*, left: bool, symmetric: bool, shift: int = 0) -> Layout:
    """The four of RAID 6, with Q behind P; `shift` rows on for "rotating N restart"."""

    def place(row: int, data: int, count: int) -> Slot:
        parity = count - 1 - (row + shift) % count if left else row % count
        syndrome = (parity + 1) % count
        if symmetric:
            return Slot((parity + 2 + data) % count, syndrome)
        if parity == count - 1:
            return Slot(data + 1, syndrome)
        return Slot(data + 2 if data >= parity else data, syndrome)

    return place


def _double_continue(row: int, data: int, count: int) -> Slot:
    """ "Rotating N continue": as left-symmetric, with Q before P."""
    parity = count - 1 - row % count
    return Slot((parity + 1 + data) % count, (parity - 1) % count)


def _with_last_syndrome(layout: Layout) -> Layout:
    """A RAID 5 on all members but the last, which has Q."""

    def place(row: int, data: int, count: int) -> Slot:
        return Slot(layout(row, data, count - 1).data, count - 1)

    return place


RAID5: dict[int, Layout] = {
    0: _rotating(left=True, symmetric=False),
    1: _rotating(left=False, symmetric=False),
    2: _rotating(left=True, symmetric=True),
    3: _rotating(left=False, symmetric=True),
    4: _parity_first,
    5: parity_last,
}
RAID6: dict[int, Layout] = {
    0: _double(left=True, symmetric=False),
    1: _double(left=False, symmetric=False),
    2: _double(left=True, symmetric=True),
    3: _double(left=False, symmetric=True),
    4: lambda row, data, count: Slot(data + 2, 1),
    5: lambda row, data, count: Slot(data, count - 1),
    8: _double(left=False, symmetric=False),
    9: _double(left=True, symmetric=False, shift=1),
    10: _double_continue,
    **{16 + number: _with_last_syndrome(layout) for number, layout in RAID5.items()},
}


def layout_of(level: int, number: int) -> Layout:
    """Raises Unsupported for a number that no driver has."""
    if level == 4:
        return parity_last
    layout = (RAID5 if level == 5 else RAID6).get(number)
    if layout is None:
        raise Unsupported(f"RAID {level} with the layout {number}")
    return layout
