"""Fast commits: those that the kernel wrote are in test_ext_journal.py; here are those that it would not write."""

import struct

import pytest
from ext_images import journal_of
from guest_trees import listing
from unclean_ext import stored

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch
from douane_guest.filesystems import ext
from douane_guest.filesystems.ext import fast_commits, journal
from douane_guest.filesystems.ext.fast_commits import ADD_RANGE, CREATE, HEAD, INODE, LINK, TAIL, UNLINK
from douane_guest.filesystems.ext.system import ExtSystem
from douane_guest.headers.crc32c import crc32c_raw
from douane_guest.source import BytesSource

CASE = "fast commits at the end"
DATA = stored(CASE).data


def tag(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def changed(*records: tuple[int, bytes], features: int = 0, age: int = 0, checksum: int = 0) -> bytes:
    """The image with other fast commits. `age`: of so many transactions before."""
    log, header = journal_of(DATA)
    transaction = journal.replay(log, header, 8192, Budget()).transaction - age
    data = tag(HEAD, struct.pack("<II", features, transaction)) + b"".join(tag(*record) for record in records)
    data += struct.pack("<HHI", TAIL, 1024 - len(data) - 4, transaction)
    data += struct.pack("<I", crc32c_raw(data, 0) ^ checksum)
    place = log.place(header.last + 1)
    return DATA[:place] + data + bytes(2048 - len(data)) + DATA[place + 2048 :]


def opened(*records: tuple[int, bytes], **changes: int) -> ExtSystem:
    return ext.open(BytesSource(changed(*records, **changes)), Budget())


def test_a_fast_commit_of_an_older_transaction_is_left_out():
    plain = listing(opened())
    assert listing(opened((LINK, struct.pack("<II", 2, 12) + b"new"), age=1)) == plain
    assert listing(opened((LINK, struct.pack("<II", 2, 12) + b"new"))).keys() - plain.keys() >= {b"new"}


def test_a_wrong_checksum_of_the_first_fast_commit_is_broken_as_the_kernel_does_not_mount_it():
    with pytest.raises(Broken, match="fast commit"):
        opened(checksum=1)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ((LINK, struct.pack("<II", 2, 1500) + b"new"), "deleted"),
        ((INODE, struct.pack("<IH", 12, 0o100644) + bytes(158)), "without extents"),
    ],
)
def test_what_is_not_replayed_is_listed_as_unread_and_nothing_of_it_is_shown(record, why):
    system = opened((LINK, struct.pack("<II", 2, 12) + b"new"), record)
    assert [(unread.code, why in unread.why) for unread in system.unread] == [("guest-unclean", True)]
    assert b"new" not in listing(system)
    assert "features" in opened(features=1).unread[0].why


@pytest.mark.parametrize(
    "record",
    [
        (LINK, struct.pack("<II", 2, 12) + b"a/b"),
        (CREATE, struct.pack("<II", 2, 99_999) + b"new"),
        (ADD_RANGE, struct.pack("<IIHHI", 12, 0, 5, 0, 8190)),
        (ADD_RANGE, struct.pack("<IIHHI", 12, 0, 0, 0, 100)),
        (ADD_RANGE, b"short"),
        (INODE, struct.pack("<I", 12) + bytes(300)),
    ],
)
def test_records_that_contradict_the_file_system_are_broken(record):
    with pytest.raises(Broken):
        opened(record)


def test_more_bytes_and_names_than_the_bounds_are_too_much(monkeypatch):
    link = (LINK, struct.pack("<II", 2, 12) + b"new")
    monkeypatch.setattr(fast_commits, "MAX_NAMES", 3)
    with pytest.raises(TooMuch, match="names"):
        listing_names(opened(link))
    monkeypatch.setattr(fast_commits, "MAX_CHANGES", 1)
    with pytest.raises(TooMuch, match="changes"):
        opened(link)
    monkeypatch.setattr(fast_commits, "MAX_BYTES", 20)
    with pytest.raises(TooMuch, match="bytes"):
        opened(link)


def test_names_are_taken_away_only_from_the_inode_that_they_name():
    system = opened()
    refs = {entry.name: entry.ref for entry in system.entries(system.node(2))}
    name, number = b"late0", refs[b"late0"]
    unchanged = opened((UNLINK, struct.pack("<II", 2, refs[b"late1"]) + name))
    assert name in listing_names(unchanged)
    removed = opened((LINK, struct.pack("<II", 2, number) + b"b"), (UNLINK, struct.pack("<II", 2, number) + name))
    assert listing_names(removed) == listing_names(system) - {name} | {b"b"}


def listing_names(system: ExtSystem) -> set[bytes]:
    return {entry.name for entry in system.entries(system.node(2))}


def test_a_range_takes_the_place_of_a_part_of_another():
    system = opened()
    changes = fast_commits.Changes(system.inodes, system._blocks, Budget())
    number = next(entry.ref for entry in system.entries(system.node(2)) if entry.name == b"late1")
    for logical, count, block, written in [(0, 10, 100, 1), (4, 2, 300, 1), (8, 4, 400, 0), (1, 1, 500, 1)]:
        length = count if written else count + 32768
        changes.apply(ADD_RANGE, struct.pack("<IIHHI", number, logical, length, 0, block), lambda _: iter(()))
    assert [tuple(run) for run in changes.runs[number]] == [
        *((0, 100, 1), (1, 500, 1), (2, 102, 2), (4, 300, 2), (6, 106, 2)),
    ]
    assert [run.logical for run in changes.changed_runs(number, 2, 5)] == [2, 4]
