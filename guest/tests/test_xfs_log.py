"""The log of XFS: replayed as the kernel does it, or told as unread."""

from __future__ import annotations

import struct

import pytest
from guest_mutants import walk_all
from guest_trees import listing
from guest_xfs import DATA, changed, find, opened, records_of, ring_of, without_log
from hypothesis import given
from hypothesis import strategies as st
from sparse_images import SparseSource, load, read_truth

from douane_guest.budget import Budget
from douane_guest.errors import GuestError, Unsupported
from douane_guest.filesystems.xfs import log_items, overlay
from douane_guest.filesystems.xfs.log_ring import Ring, find_span, with_first_words
from douane_guest.headers.crc32c import crc32c


def test_a_last_record_that_was_not_written_to_its_end_is_left_out_as_the_kernel_does():
    assert read_truth(DATA / "torn.truth") != read_truth(DATA / "small.truth")
    system = opened(load(DATA / "torn.image"))
    assert (system.clean, system.unread) == (False, [])
    assert listing(system) == read_truth(DATA / "torn.truth")


def test_changes_that_are_only_in_the_log_are_there_by_its_replay_alone():
    source = load(DATA / "small.image")
    assert b"late" in listing(opened(source))
    before = opened(without_log(source))
    assert before.clean
    assert b"late" not in listing(before)


def rewritten(source: SparseSource, old: bytes, new: bytes) -> SparseSource:
    """The image with another piece of the first record of its log that has it, whose checksum is right."""
    records, place = records_of(source)
    ring, _ = ring_of(source)
    for record in records:
        start = place + record.block * 512
        data = bytearray(ring.read(record.block, record.sectors))
        at = data.find(old)
        if at < 0:
            continue
        data[at : at + len(new)] = new
        head = bytes(data[: record.headers * 512])
        extensions = b"".join(head[n * 512 : n * 512 + 260] for n in range(1, -(-record.length // 32768)))
        body = bytes(data[record.headers * 512 :][: record.length])
        total = crc32c(head[:32] + bytes(4) + head[36:328] + extensions + body)
        data[32:36] = total.to_bytes(4, "little")
        altered = source
        for offset in range(0, len(data), 512):
            altered = changed(altered, (start + offset, bytes(data[offset : offset + 512])))
        return altered
    raise AssertionError("no record has it")


INODE_ITEM = b"\x3b\x12\x03\x00"


@pytest.mark.parametrize(
    ("new", "word"),
    [
        (b"\x77\x12", "unknown type"),
        (b"\x3b\x12\xff\xff", "number of regions"),
        (b"\x3b\x12\x04\x00", ""),
        (b"\x44\x12", "intentions to move extents"),
        (b"\x46\x12", "intentions to change an extended attribute"),
        (b"\x48\x12", "intentions to exchange extents"),
    ],
)
def test_a_log_with_an_item_that_is_not_understood_is_told_as_unread(new, word):
    system = opened(rewritten(load(DATA / "small.image"), INODE_ITEM, new))
    (part,) = system.unread
    assert (part.where, part.code, system.clean) == ("log", "guest-unclean", False)
    assert word in part.why
    assert listing(system)


def test_a_record_that_is_damaged_before_the_last_eight_is_told_as_unread():
    source = load(DATA / "log.image")
    (start,) = struct.unpack(">Q", source.pread(48, 8))
    (group_blocks,) = struct.unpack(">I", source.pread(84, 4))
    (blocks,) = struct.unpack(">I", source.pread(96, 4))
    log = source.pread(124, 1)[0]
    place = ((start >> log) * group_blocks + (start & ((1 << log) - 1))) * 4096
    ring = Ring(source, place, blocks * 8, v2=True, uuid=source.pread(32, 16), budget=Budget())
    first = ring.record(find_span(ring).tail)
    system = opened(changed(source, (place + (first.block + first.headers) * 512 + 40, b"\xff\xfe")))
    assert [(part.where, part.code) for part in system.unread] == [("log", "guest-unclean")]


@pytest.mark.parametrize(
    ("limit", "word"),
    [(overlay, "_SECTOR_LIMIT"), (log_items, "_MOST_BYTES")],
    ids=["changes", "transactions"],
)
def test_a_log_with_more_than_is_kept_in_memory_is_told_as_unread(monkeypatch, limit, word):
    monkeypatch.setattr(limit, word, 10)
    system = opened(load(DATA / "log.image"))
    (part,) = system.unread
    assert (part.code, system.clean) == ("guest-unclean", False)
    assert "kept in memory" in part.why


def test_blocks_of_quotas_in_the_log_are_refused_when_they_are_read():
    """Their replay depends on the options of the mount; no file is in them, unless the log lies."""
    over = overlay.Overlay(SparseSource(1 << 20, {}))
    over.doubt(4096, 512)
    assert over.pread(0, 4096) == bytes(4096)
    with pytest.raises(Unsupported) as caught:
        over.pread(4600, 100)
    assert caught.value.code == "guest-unclean"


def test_changes_on_top_of_a_source_are_read_at_every_offset():
    source = load(DATA / "small.image")
    over, expected = overlay.Overlay(source), bytearray(source.pread(0, 8192))
    for place, data in [(0, b"a" * 512), (700, b"b" * 1000), (2048, b"c" * 700), (1500, b"d")]:
        over.write(place, data)
        expected[place : place + len(data)] = data
    for start in (0, 1, 511, 512, 700, 2000, 4096):
        for count in (0, 1, 511, 513, 1024, 3000):
            assert over.pread(start, count) == expected[start : start + count]


def test_a_log_of_another_file_system_is_told_as_unread():
    source = load(DATA / "small.image")
    records, place = records_of(source)
    system = opened(changed(source, *[(place + record.block * 512 + 304, b"other") for record in records]))
    assert [part.code for part in system.unread] == ["guest-unclean"]


class Counted:
    """Counts the bytes that are read."""

    def __init__(self, source: SparseSource) -> None:
        self.source = source
        self.size = source.size
        self.bytes = 0

    def pread(self, offset: int, count: int) -> bytes:
        self.bytes += count
        return self.source.pread(offset, count)


@pytest.mark.parametrize(("name", "megabytes"), [("default", 4), ("log", 8)])
def test_opening_reads_a_small_part_of_the_log(name, megabytes):
    source = Counted(load(DATA / f"{name}.image"))
    assert find(opened(source), "small").size == 60
    assert source.bytes < megabytes << 20


def test_mutants_of_the_log_are_replayed_or_told():
    """Only the records that a replay reads are changed, with checksums that are right again."""
    source = load(DATA / "small.image")
    records, _ = records_of(source)
    assert records
    ring, _ = ring_of(source)
    refused = 0
    body = ring.read(records[0].block + 1, records[0].sectors - 1)
    places = [at for at in range(4, len(body) - 8, max(len(body) // 60, 1) | 1) if at % 512 > 4]
    for at in places:
        piece = body[at : at + 8]
        try:
            system = opened(rewritten(source, piece, bytes(value ^ 0xFF for value in piece[:2])))
            refused += bool(system.unread)
            list(walk_all(system))
        except GuestError:
            refused += 1
    assert refused > len(places) // 8


@given(st.integers(0, 130), st.randoms())
def test_the_first_words_of_sectors_are_in_the_header_and_its_further_sectors(sectors, chance):
    words = [chance.randbytes(4) for _ in range(192)]
    head = bytes(44) + b"".join(words[:64])
    for start in (64, 128):
        head = head.ljust(start * 8, b"\0") + bytes(4) + b"".join(words[start : start + 64])
    bodies = [chance.randbytes(508) for _ in range(sectors)]
    whole = b"".join(word + body for word, body in zip(words, bodies, strict=False))
    stored = b"".join(b"\0\0\0\7" + body for body in bodies)
    assert with_first_words(head.ljust(1536, b"\0"), stored) == whole
