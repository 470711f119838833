"""The log of a VHDX that was not closed: replayed as qemu replays it, and unclean where that cannot be known."""

from __future__ import annotations

import contextlib
import random
from struct import pack

import pytest
from guest_disks import convert
from guest_stored import run, stored
from guest_vhdx import HEADERS, IDENTITY, MIB, SECTOR, DirtyVhdx

from douane_guest.errors import Broken, GuestError, Unsupported
from douane_guest.guest import open_guest
from douane_guest.source import BytesSource


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("vhdx")
    raw = folder / "raw"
    raw.write_bytes((b"head of the payload" + random.Random(1).randbytes(MIB)).ljust(4 * MIB, b"."))
    return convert(raw, folder / "vhdx", "vhdx", "subformat=fixed,block_size=1M").read_bytes()


@pytest.fixture
def dirty(clean) -> DirtyVhdx:
    return DirtyVhdx(clean)


def sector(seed: int) -> bytes:
    return random.Random(seed).randbytes(SECTOR)


def test_changes_are_replayed_in_their_order_as_qemu_does(dirty, tmp_path):
    dirty.entry(5, (0, sector(1)), (SECTOR, sector(2)), (8 * SECTOR, 64 * SECTOR))
    dirty.entry(6, (0, sector(3)), (4 * SECTOR, 8 * SECTOR), (9 * SECTOR, sector(4)), (MIB, 5 * SECTOR))
    dirty.entry(7, (10 * SECTOR, 2 * SECTOR), (5 * SECTOR, sector(5)))
    shown = dirty.read()
    assert shown[:SECTOR] == sector(3)
    assert shown[5 * SECTOR : 6 * SECTOR] == sector(5)
    assert shown == dirty.as_qemu_replays(tmp_path)


@pytest.mark.parametrize(("first", "tail"), [(17, 0), (17, 3), (251, 3)])
def test_random_logs_are_replayed_as_qemu_does(dirty, tmp_path, first, tail):
    """Numbers beyond 32 bits, an entry with many descriptors, a ring that wraps, and entries before the tail."""
    chance = random.Random(first + tail)
    dirty.at = dirty.tail = first * SECTOR
    for number in range(20):
        changes: list[tuple[int, bytes | int]] = []
        for _ in range(126 if number == 4 else 2):
            offset = chance.randrange(600) * SECTOR
            changes.append(
                (offset, sector(chance.random()) if chance.random() < 0.7 else chance.randint(1, 9) * SECTOR)
            )
        if number == tail:
            dirty.tail = dirty.at
        if number < tail:
            dirty.apply(*changes)
        dirty.entry(2**32 - 10 + number, *changes)
    assert dirty.read() == dirty.as_qemu_replays(tmp_path)


def test_a_log_that_wraps_is_told_where_qemu_replays_its_second_half_alone(dirty):
    dirty.at = dirty.tail = dirty.size - 4 * SECTOR
    for number in range(8):
        dirty.entry(5 + number, (number * SECTOR, sector(number)))
    with pytest.raises(Unsupported, match="programs would differ"):
        dirty.read()
    dirty.apply(*((number * SECTOR, sector(number)) for number in range(2)))
    assert dirty.read()[7 * SECTOR : 8 * SECTOR] == sector(7)


def test_what_qemu_logged_is_replayed(tmp_path):
    """As if the machine had stopped when qemu had written its log, and not yet the table of blocks."""
    path = tmp_path / "image"
    run("qemu-img", "create", "-q", "-f", "vhdx", "-o", "subformat=dynamic,block_size=1M", path, "8M")
    before = path.read_bytes()
    run("qemu-io", "-f", "vhdx", "-c", "write -q -P 7 2M 1M", path)
    dirty = DirtyVhdx(path.read_bytes())
    entry = dirty.data.index(b"loge", dirty.start)
    for place in HEADERS:
        dirty.data[place + 48 : place + 64] = dirty.data[entry + 32 : entry + 48]
        dirty.sum(place, SECTOR)
    table = 2 * MIB
    assert dirty.data[table : table + MIB] != before[table : table + MIB], "qemu has its table elsewhere"
    dirty.data[table : table + MIB] = before[table : table + MIB]
    assert dirty.read()[2 * MIB : 3 * MIB] == b"\7" * MIB


def test_the_sequence_with_the_highest_number_counts_and_a_torn_entry_after_it_does_not(dirty, tmp_path):
    dirty.entry(9, (0, sector(9)))
    dirty.entry(10, (0, sector(9)))
    dirty.at = dirty.tail = 16 * SECTOR
    dirty.entry(20, (SECTOR, sector(20)))
    place = dirty.entry(21, (0, sector(21)))
    dirty.data[dirty.start + place + SECTOR + 100] ^= 1
    assert dirty.read() == dirty.as_qemu_replays(tmp_path)
    assert dirty.read()[SECTOR : 2 * SECTOR] == sector(20)
    assert dirty.read()[:19] == b"head of the payload"


def test_a_file_that_is_shorter_than_the_log_says_grows_by_zeros(dirty):
    dirty.entry(1, (0, sector(1)), last=len(dirty.data) + 3 * MIB)
    dirty.read()
    dirty.entry(2, flushed=1 << 40)
    with pytest.raises(Broken, match="and had"):
        dirty.read()


def empty(dirty: DirtyVhdx) -> None:
    """Nothing in the log."""


def other_tail(dirty: DirtyVhdx) -> None:
    dirty.entry(1, (0, sector(1)), tail=512 * 1024)


def earlier_changes_that_are_not_in_the_file(dirty: DirtyVhdx) -> None:
    """qemu replays them, and others do not."""
    dirty.entry(1, (0, sector(1)))
    dirty.entry(2, (SECTOR, sector(2)), tail=dirty.at)


def second_entry_with_another_number(dirty: DirtyVhdx) -> None:
    dirty.entry(1, (0, sector(1)))
    dirty.entry(5, (SECTOR, sector(2)), tail=dirty.at)


def wrong_checksum(dirty: DirtyVhdx) -> None:
    place = dirty.entry(1, (0, sector(1)))
    dirty.data[dirty.start + place + 2 * SECTOR - 9] ^= 1


def wrong_identity(dirty: DirtyVhdx) -> None:
    dirty.entry(1, (0, sector(1)))
    for place in HEADERS:
        dirty.data[place + 48] ^= 1
        dirty.sum(place, SECTOR)


def sector_of_another(dirty: DirtyVhdx) -> None:
    dirty.entry(1, (0, sector(1)), data_sequence=2)


def descriptor_of_another(dirty: DirtyVhdx) -> None:
    dirty.entry(1, (0, 4096), descriptor_sequence=2)


def zeros_of_no_sectors(dirty: DirtyVhdx) -> None:
    dirty.entry(1, (0, 100))


@pytest.mark.parametrize(
    "change",
    [
        *(empty, other_tail, earlier_changes_that_are_not_in_the_file, second_entry_with_another_number),
        *(wrong_checksum, wrong_identity, sector_of_another, descriptor_of_another, zeros_of_no_sectors),
    ],
)
def test_a_log_that_is_not_intact_is_told_as_unclean(dirty, change):
    change(dirty)
    with pytest.raises(Unsupported) as caught:
        dirty.read()
    assert caught.value.code == "guest-unclean"


@pytest.mark.parametrize(("base", "change"), [(64 << 10, b"x" * SECTOR), (0, b"x" * SECTOR), (1 << 50, SECTOR)])
def test_a_log_that_changes_headers_or_what_is_beyond_the_end_is_broken(dirty, base, change):
    dirty.entry(1, (0, change), base=base)
    with pytest.raises(Broken):
        dirty.read()


def test_zeros_of_an_exbibyte_cost_nothing_and_are_not_compared(dirty):
    """The second entry begins the sequence of the specification; qemu replays the first one, too."""
    dirty.entry(1, (0, 1 << 59), last=1 << 60)
    assert dirty.read()[:19] == bytes(19)
    dirty.entry(2, (SECTOR, sector(2)), tail=dirty.at, last=1 << 60)
    with pytest.raises(Unsupported, match="may differ"):
        dirty.read()


def test_entries_that_overlap_are_bounded(dirty):
    """Each sector of the log is the head of an entry that has the whole log."""
    for place in range(0, dirty.size, SECTOR):
        head = pack("<4sIIIQII16sQQ", b"loge", 0, dirty.size, 0, 1, 1, 0, IDENTITY, 0, 0)
        dirty.data[dirty.start + place : dirty.start + place + len(head)] = head
    with pytest.raises(Unsupported, match="overlap"):
        dirty.read()


def test_changed_logs_are_replayed_or_refused(dirty):
    dirty.entry(5, (0, sector(1)), (SECTOR, 3 * SECTOR))
    dirty.entry(6, (SECTOR, sector(2)))
    original, chance = bytes(dirty.data), random.Random(5)
    for _ in range(40):
        dirty.data[:] = original
        for _ in range(chance.randint(1, 4)):
            dirty.data[dirty.start + chance.randrange(5 * SECTOR // 8) * 8 + chance.choice((0, 4))] ^= (
                1 << chance.randrange(8)
            )
        for place in (0, 3 * SECTOR):  # the checksums are right, so what is in the entries is read
            length = 3 * SECTOR if place == 0 else 2 * SECTOR
            if chance.random() < 0.8:
                dirty.sum(dirty.start + place, length)
        with contextlib.suppress(GuestError):
            dirty.read()


def test_a_file_system_that_is_in_the_log_alone_is_read():
    guest = open_guest(BytesSource(stored("vhdx-log")))
    assert (guest.os, list(guest.unread)) == ({"ID": "logged"}, [])
    assert guest.read("many/file 39") == b"number 39\n" * 300
