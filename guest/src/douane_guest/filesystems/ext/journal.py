"""Replay of a journal in memory: which blocks of the file system are read from it.

The rules are those of the kernel's recovery (three passes over the log; here two, as revokes can be applied on the
way). Where the kernel would not mount, the journal is Broken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.headers.crc32c import crc32c_raw

from .log import (
    ASYNC_COMMIT,
    BIT64,
    CHECKSUM_1,
    CHECKSUM_3,
    COMMIT,
    DESCRIPTOR,
    HEADER,
    MAGIC,
    REVOKE,
    Header,
    Log,
    add_block,
    be32,
    commit_is_right,
    tail_is_right,
    transaction_is_right,
)

ESCAPED, SAME_UUID, LAST = 1, 2, 8
"""Flags of a record. ESCAPED: the block begins with the magic number, which the journal has zeros for."""
MAX_BLOCKS = 262_144
"""Blocks that are replayed, at most: 1 GiB of 4 KiB, the largest journal that mke2fs makes."""
START = 0xFFFFFFFF


class Record(NamedTuple):
    """A block that a transaction writes."""

    number: int
    escaped: bool
    checksum: int


class Part(NamedTuple):
    """A block of the log that is not the copy of a block: a descriptor, a commit or a list of revokes."""

    kind: int
    sequence: int
    data: bytes
    place: int
    """The number of the block behind it."""


class Replay(NamedTuple):
    """What the journal changes."""

    places: dict[int, int]
    """Where blocks are: the byte of the disk, or ``~byte`` for escaped ones."""

    transaction: int | None
    """The number of the one that would be next, which fast commits have; None if there was nothing to replay."""


def replay(log: Log, header: Header, blocks: int, budget: Budget) -> Replay:
    """Replay the transactions of a journal for a file system of `blocks` blocks."""
    if not header.start:
        return Replay({}, None)
    end = last_transaction(log, header, budget)
    places: dict[int, int] = {}
    revoked: set[int] = set()
    for part in parts(log, header, budget):
        if part.sequence == end:
            break
        if part.kind == COMMIT:
            revoked = set()
            continue
        if not tail_is_right(header, part.data):
            raise Broken(f"the checksum of a block of the journal is wrong, in transaction {part.sequence}")
        if part.kind == REVOKE:
            numbers = revokes(header, part.data)
            budget.step(len(numbers))
            for number in numbers:
                places.pop(number, None)
            revoked.update(numbers)
            check_count(len(revoked))
            continue
        place = part.place
        for record in records(header, part.data):
            if record.number >= blocks:
                raise Broken(f"the journal has the block {record.number}, which lies outside of the file system")
            check_copy(log, header, part.sequence, record, place)
            # A block that the same transaction revokes is not written: the record of it is older.
            if record.number not in revoked:
                byte = log.place(place)
                places[record.number] = ~byte if record.escaped else byte
            place = following(header, place)
        check_count(len(places))
    return Replay(places, end)


def check_count(count: int) -> None:
    """Raises TooMuch for more blocks than are kept in memory."""
    if count > MAX_BLOCKS:
        raise TooMuch(f"the journal changes more than {MAX_BLOCKS} blocks")


def following(header: Header, place: int, count: int = 1) -> int:
    """The place `count` blocks further in the ring."""
    place += count
    return place - (header.last - header.first) if place >= header.last else place


def parts(log: Log, header: Header, budget: Budget) -> Iterator[Part]:
    """The blocks of the log that are not copies, in order, up to the first one of another transaction."""
    place, sequence, passed = header.start, header.sequence, 0
    while True:
        budget.step()
        data = log.read(place)
        magic, kind, number = HEADER.unpack_from(data)
        if magic.to_bytes(4, "big") != MAGIC or number != sequence or kind not in (DESCRIPTOR, COMMIT, REVOKE):
            return
        place = following(header, place)
        yield Part(kind, sequence, data, place)
        copies = len(list(records(header, data))) if kind == DESCRIPTOR else 0
        budget.step(copies)
        place = following(header, place, copies)
        passed += 1 + copies
        if passed > header.last - header.first:
            raise Broken("the journal is longer than its ring")
        if kind == COMMIT:
            sequence = sequence + 1 & 0xFFFFFFFF


def last_transaction(log: Log, header: Header, budget: Budget) -> int:
    """The number of the first transaction that is not complete. Raises Broken where the kernel refuses the journal."""
    sequence = header.sequence
    end = None
    doubt = False  # a block with a wrong checksum: a fault, or one of an older round of the ring
    last_time = 0
    total = START
    for part in parts(log, header, budget):
        sequence = part.sequence
        if part.kind != COMMIT:
            doubt = doubt or not tail_is_right(header, part.data)
            if part.kind == DESCRIPTOR and header.compat & CHECKSUM_1 and end is None:
                total = total_of(log, header, part, total)
            continue
        time = int.from_bytes(part.data[48:56], "big")
        if doubt:
            if time >= last_time:
                raise Broken(f"the checksum of a block of the journal is wrong, in transaction {sequence}")
            return sequence if end is None else end  # left over from an older round
        if header.compat & CHECKSUM_1:
            if end is not None:
                raise Broken(f"the transaction {end} of the journal has a wrong checksum, and others follow it")
            intact, total = transaction_is_right(part.data, total), START
        else:
            intact = commit_is_right(header, part.data)
        if not intact:
            if time < last_time:
                return sequence if end is None else end
            if not header.incompat & ASYNC_COMMIT:
                raise Broken(f"the transaction {sequence} of the journal has a wrong checksum")
            end = sequence if end is None else end
        last_time = time
        sequence = sequence + 1 & 0xFFFFFFFF
    return sequence if end is None else end


def total_of(log: Log, header: Header, part: Part, total: int) -> int:
    """The checksum of a transaction goes on over a descriptor and its copies."""
    total = add_block(total, part.data)
    place = part.place
    for _ in records(header, part.data):
        total = add_block(total, log.read(place))
        place = following(header, place)
    return total


def records(header: Header, data: bytes) -> Iterator[Record]:
    """The records of a descriptor."""
    size = header.tag_size
    place, end = 12, len(data) - (4 if header.checksums else 0)
    while place + size <= end:
        number = be32(data, place)
        if header.incompat & CHECKSUM_3:
            flags, high, checksum = struct.unpack_from(">III", data, place + 4)
        else:
            checksum, flags = struct.unpack_from(">HH", data, place + 4)
            high = be32(data, place + 8) if header.incompat & BIT64 else 0
        if header.incompat & BIT64:
            number |= high << 32
        yield Record(number, bool(flags & ESCAPED), checksum)
        if flags & LAST:
            return
        place += size if flags & SAME_UUID else size + 16


def revokes(header: Header, data: bytes) -> list[int]:
    """The block numbers of a list of revokes; its length is in bytes, with the header of 16."""
    length = be32(data, 12)
    if not 16 <= length <= len(data) - (4 if header.checksums else 0):
        raise Broken("a list of revokes in the journal has a wrong length")
    size = 8 if header.incompat & BIT64 else 4
    count = (length - 16) // size
    return list(struct.unpack_from(f">{count}{'Q' if size == 8 else 'I'}", data, 16))


def check_copy(log: Log, header: Header, sequence: int, record: Record, place: int) -> None:
    """Raises Broken if the copy of a block has not the checksum of its record."""
    if not header.checksums:
        return
    checksum = crc32c_raw(log.read(place), crc32c_raw(sequence.to_bytes(4, "big"), header.seed))
    if record.checksum != (checksum if header.incompat & CHECKSUM_3 else checksum & 0xFFFF):
        raise Broken(f"a block of the journal has a wrong checksum, in transaction {sequence}")
