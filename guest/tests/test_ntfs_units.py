"""The runs of NTFS, its compression, and bombs of both."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.filesystems.ntfs import lznt1, reparse, runs
from douane_guest.filesystems.ntfs.record import Attribute, Extent, restore
from douane_guest.filesystems.ntfs.stream import Disk, pieces
from douane_guest.source import BytesSource

CLUSTER = 512


def signed(value: int) -> bytes:
    return value.to_bytes((value + (value < 0)).bit_length() // 8 + 1, "little", signed=True)


def pack(wanted: list[tuple[int, int | None]]) -> bytes:
    """Runs as NTFS packs them."""
    packed, position = b"", 0
    for length, cluster in wanted:
        distance = b"" if cluster is None else signed(cluster - position)
        position = position if cluster is None else cluster
        packed += bytes([len(distance) << 4 | len(signed(length))]) + signed(length) + distance
    return packed + b"\0"


def attribute(wanted, size: int, *, flags: int = 0, unit: int = 0, first: int = 0) -> Attribute:
    return Attribute(0x80, "", flags, None, Extent(first, pack(wanted), unit, size, size), 0)


def disk(data: bytes, steps: int = 10_000) -> Disk:
    return Disk(BytesSource(data), CLUSTER, len(data) // CLUSTER, Budget(steps=steps))


@given(st.lists(st.tuples(st.integers(1, 1 << 30), st.none() | st.integers(0, 1 << 40))))
def test_runs_are_unpacked_as_they_were_packed(wanted):
    assert [(run.length, run.cluster) for run in runs.unpack(pack(wanted), 0, 1 << 41)] == wanted


@given(st.binary())
def test_damaged_runs_are_broken(data):
    try:
        for run in runs.unpack(data, 0, 1000):
            assert run.length > 0
            assert run.cluster is None or 0 <= run.cluster < run.cluster + run.length <= 1000
    except Broken:
        pass


def test_parts_between_which_one_is_missing_are_broken():
    parts = [attribute([(2, 0)], 2048), attribute([(1, 5)], 0, first=3)]
    with pytest.raises(Broken, match="follow each other"):
        list(pieces(disk(bytes(8192)), parts))


def test_a_file_of_two_to_the_sixty_bytes_that_is_one_hole_has_no_pieces():
    assert list(pieces(disk(bytes(8192)), [attribute([(1 << 51, None)], 1 << 60)])) == []


def test_a_compressed_file_of_two_to_the_sixty_bytes_that_is_one_hole_has_no_pieces():
    assert list(pieces(disk(bytes(8192)), [attribute([(1 << 51, None)], 1 << 60, flags=1, unit=4)])) == []


def test_a_million_runs_take_a_million_steps():
    with pytest.raises(TooMuch):
        list(pieces(disk(bytes(8192)), [attribute([(1, None)] * 20_000, 20_000 * CLUSTER)]))


# The example of MS-XCA, section 3.3.
EXAMPLE = bytes.fromhex(
    "38b08846232000204720410010a24701a045204400084501507900c045200524138805b4024a44ef0358028c091601484500be009e000401189000"
)
EXPANDED = (
    b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D E A "
    b"F# F# G A A G F# E D D E F# E D D\0"
)


def test_the_example_of_the_specification_is_decompressed():
    assert lznt1.decompress(EXAMPLE, 4096) == EXPANDED


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_a_decompressor_gives_no_more_than_it_is_asked_for(data, most):
    with contextlib.suppress(Broken):
        assert len(lznt1.decompress(data, most)) <= most


@given(st.binary(max_size=200))
def test_a_chunk_has_at_most_its_size(data):
    body = struct.pack("<H", 0xB000 | (len(data) + 1)) + b"\x02A" + data
    with contextlib.suppress(Broken):
        assert len(lznt1.decompress(body, 1 << 20)) <= lznt1.CHUNK


def test_a_bomb_of_compressed_zeros_gives_what_the_size_of_the_file_says():
    """A unit of 16 clusters, of which one is written: its chunks of five bytes each become 4,096."""
    chunk = struct.pack("<HBBH", 0xB003, 0x02, 0, 0x0FFC)
    body = (chunk * 100)[:CLUSTER].ljust(CLUSTER, b"\0")
    parted = list(pieces(disk(body * 2), [attribute([(1, 0), (15, None)], 8000, flags=1, unit=4)]))
    assert parted == [(0, bytes(8000))]


def test_a_unit_with_a_hole_before_its_end_is_broken():
    with pytest.raises(Broken, match="hole before its end"):
        list(pieces(disk(bytes(8192)), [attribute([(1, 0), (1, None), (14, 1)], 8192, flags=1, unit=4)]))


def test_a_unit_that_is_larger_than_what_is_read_at_once_is_not_read():
    with pytest.raises(Unsupported):
        list(pieces(disk(bytes(8192)), [attribute([(1, 0)], 512, flags=1, unit=16)]))


@pytest.mark.parametrize("compression", [2, 0xFF])
def test_an_unknown_compression_is_not_read(compression):
    with pytest.raises(Unsupported, match="unknown method"):
        list(pieces(disk(bytes(8192)), [attribute([(16, 0)], 8192, flags=compression, unit=4)]))


@pytest.mark.parametrize(("place", "count"), [(48, 2), (48, 4), (48, 0), (510, 3), (65_000, 3), (49, 3)], ids=str)
def test_sequence_numbers_outside_of_their_place_are_broken(place, count):
    data = struct.pack("<4sHH", b"FILE", place, count).ljust(1024, b"\0")
    with pytest.raises(Broken):
        restore(data, b"FILE")


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 200), (60_000, 10), (0, 0)],
)
def test_a_link_whose_target_lies_outside_of_it_is_broken(start, length):
    body = struct.pack("<HHHHI", start, length, start, length, 0) + b"a\0"
    with pytest.raises(Broken):
        reparse.parse(struct.pack("<IHH", 0xA000000C, len(body), 0) + body)


@pytest.mark.parametrize(
    ("tag", "word"),
    [(0x9000601A, "OneDrive"), (0x80000013, "deduplicated"), (0x80000018, "containers"), (0x8000BEEF, "0x8000beef")],
)
def test_bytes_that_are_elsewhere_are_told_with_their_place(tag, word):
    assert word in reparse.parse(struct.pack("<IHH", tag, 0, 0)).unread


def test_an_alias_of_an_application_is_a_file_without_bytes():
    point = reparse.parse(struct.pack("<IHH", 0x8000001B, 4, 0) + bytes(4))
    assert (point.kind, point.unread, point.overlay) == (None, "", None)
