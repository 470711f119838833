"""The tables of qcow2: read to the last cluster, in one pass, and never beyond the file."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.formats.qcow2_entries import L2Entries
from douane_guest.headers.qcow2 import OFFSET, RESERVED
from support.examination import codes, examine, match_of, policies, summary
from support.images import be, patched
from support.images.qcow2 import CLUSTER, handmade, with_fields

MiB = 1 << 20
COPIED, COMPRESSED = 1 << 63, 1 << 62
QemuImg = Callable[..., bytes]


def details(image: bytes) -> str:
    """The details of the findings."""
    return "; ".join(finding.detail for finding in examine(image).findings)


@pytest.fixture
def full(qemu_img: QemuImg) -> bytes:
    """A disk of 8 MiB full of data."""
    return qemu_img("qcow2", data=bytes(range(1, 256)) * 32896 + b"x" * 128)


@pytest.mark.parametrize("size_known", [True, False])
def test_half_of_an_image_is_refused(full: bytes, size_known: bool) -> None:
    assert not examine(full, size_known=size_known).findings
    assert codes(examine(full[: len(full) // 2], size_known=size_known)) == {"outside-file"}


@pytest.mark.parametrize("size_known", [True, False])
@pytest.mark.parametrize("options", ["", "cluster_size=4k", "extended_l2=on", "cluster_size=2M"])
def test_missing_last_cluster_is_refused(qemu_img: QemuImg, options: str, size_known: bool) -> None:
    words = ["-o", options] if options else []
    image = qemu_img("qcow2", *words, data=bytes(range(1, 256)) * 32896 + b"x" * 128)
    lost = {"cluster_size=4k": 4096, "cluster_size=2M": 2 * MiB}.get(options, CLUSTER)
    assert not examine(image, size_known=size_known).findings
    assert "outside-file" in codes(examine(image[:-lost], size_known=size_known))


def test_half_of_the_last_cluster_is_odd(full: bytes) -> None:
    assert policies(examine(full[:-1000])) == {"odd": "warn"}


@pytest.mark.parametrize("size_known", [True, False])
def test_compressed_image_without_its_end_is_refused(qemu_img: QemuImg, size_known: bool) -> None:
    image = qemu_img("qcow2", "-c", data=bytes(range(256)) * 8192)
    assert not examine(image, size_known=size_known).findings
    table = struct.unpack_from(">Q", image, 3 * CLUSTER)[0] & OFFSET
    entries = struct.unpack_from(">32Q", image, table)
    last = max(entry & (1 << 54) - 1 for entry in entries)
    # a compressed cluster in a sector behind the end, and one of so many sectors that they lead there
    for value in (COMPRESSED | len(image) + 512, COMPRESSED | 255 << 54 | last + 60000):
        assert "outside-file" in codes(examine(patched(image, (table, be(value, 8))), size_known=size_known))


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"l1_table_offset": 1 << 40}, "outside-file"),
        ({"l1_table_offset": 1 << 63}, "outside-file"),
        ({"refcount_table_offset": 1 << 40}, "outside-file"),
        ({"nb_snapshots": 1, "snapshots_offset": 1 << 40}, "outside-file"),
        ({"l1_table_offset": 0}, "overlap"),
        ({"refcount_table_offset": 0}, "overlap"),
        ({"l1_table_offset": CLUSTER}, "overlap"),
        ({"nb_snapshots": 1, "snapshots_offset": CLUSTER}, "overlap"),
    ],
)
@pytest.mark.parametrize("size_known", [True, False])
def test_tables_at_impossible_offsets_are_refused(
    qemu_img: QemuImg, values: dict[str, int], code: str, size_known: bool
) -> None:
    assert code in codes(examine(with_fields(qemu_img("qcow2"), **values), size_known=size_known))


@pytest.mark.parametrize("size_known", [True, False])
def test_l1_table_outside_the_file_is_refused(size_known: bool) -> None:
    image = handmade([0] * 64, {}, 4)
    assert not examine(image, size_known=size_known).findings
    assert codes(examine(image[:-8], size_known=size_known)) == {"outside-file"}


def test_l2_table_twice_is_refused() -> None:
    assert not examine(handmade([4 * 512 | COPIED, 5 * 512 | COPIED], {}, 8)).findings
    assert codes(examine(handmade([4 * 512 | COPIED, 4 * 512 | COPIED], {}, 8))) == {"overlap"}


@pytest.mark.parametrize("place", [1, 3])
def test_l2_table_in_another_table_is_refused(place: int) -> None:
    assert "overlap" in codes(examine(handmade([place * 512 | COPIED], {}, 8)))


@pytest.mark.parametrize("place", [1, 3])
def test_cluster_of_the_disk_in_a_table_is_refused(place: int) -> None:
    assert codes(examine(handmade([4 * 512], {4: [5 * 512 | COPIED, place * 512 | COPIED]}, 8))) == {"overlap"}


def test_unaligned_entries_are_refused() -> None:
    assert codes(examine(handmade([4 * 1024 + 512], {}, 8, cluster_bits=10))) == {"header"}
    assert codes(examine(handmade([4 * 1024], {4: [5 * 1024 + 512]}, 8, cluster_bits=10))) == {"header"}
    image = patched(handmade([4 * 1024], {}, 8, cluster_bits=10), (1024, be(2 * 1024 + 512, 8)))
    assert codes(examine(image)) == {"header"}


def test_zero_and_unallocated_clusters_pass() -> None:
    assert not examine(handmade([0, 4 * 512], {4: [0, 1, 5 * 512 | 1 | COPIED, 6 * 512]}, 8)).findings


def test_reserved_bits_are_odd() -> None:
    assert policies(examine(handmade([4 * 512 | 1], {}, 8))) == {"odd": "warn"}
    assert policies(examine(handmade([4 * 512], {4: [5 * 512 | 1 << 60]}, 8))) == {"odd": "warn"}


def test_refcount_block_outside_the_file_is_refused() -> None:
    image = patched(handmade([0], {}, 8), (512, be(900 * 512, 8)))
    assert "a refcount block" in details(image)
    assert codes(examine(image)) == {"outside-file"}


def test_subcluster_bitmaps_are_not_offsets() -> None:
    size = 1 << 14
    entries = [5 * size | COPIED, (1 << 64) - 1, 0, 0xFFFFFFFF << 32]
    assert not examine(handmade([4 * size], {4: entries}, 6, cluster_bits=14, features=16)).findings
    entries[2] = 6 * size
    assert codes(examine(handmade([4 * size], {4: entries}, 6, cluster_bits=14, features=16))) == {"outside-file"}


def with_late_l1_table(cluster: int, first: int) -> bytes:
    """An image with an L1 table after 2 MiB, and L2 tables before and after it; one has a cluster outside."""
    far = 2 * MiB // 512
    tables = {first: [900 * 512], far + 1: [901 * 512], far + 2: [cluster * 512]}
    return handmade([first * 512, (far + 1) * 512, (far + 2) * 512], tables, far + 8, l1_at=far)


@pytest.mark.parametrize("size_known", [True, False])
def test_tables_before_the_l1_table_are_unchecked_and_others_checked(size_known: bool) -> None:
    gone = 1 * MiB // 512 + 5
    assert policies(examine(with_late_l1_table(902, gone), size_known=size_known)) == {"unchecked": "pass"}
    assert "outside-file" in codes(examine(with_late_l1_table(1 << 30, gone), size_known=size_known))


def test_tables_before_the_l1_table_in_the_first_mebibyte_are_checked() -> None:
    assert not examine(with_late_l1_table(902, 100)).findings
    image = with_late_l1_table(902, 100)
    assert codes(examine(patched(image, (100 * 512, be(1 << 40, 8))))) == {"outside-file"}


@pytest.mark.parametrize("cut", [512, 4096, 100_000, 1 << 20, 1 << 24])
def test_chunk_boundaries_change_nothing(full: bytes, cut: int) -> None:
    for image in (full, with_late_l1_table(902, 3000), with_late_l1_table(1 << 30, 3000), full[: len(full) // 3]):
        assert summary(examine(image, cut=cut)) == summary(examine(image))


def test_snapshots_are_found_and_named(qemu_img: QemuImg) -> None:
    head = struct.pack(">QIHHIIQII", 4 * 512, 1, 1, 5, 0, 0, 0, 0, 16) + bytes(16) + b"1first"
    image = handmade([0], {5: []}, 8)
    image = patched(
        image, (5 * 512, head), (5 * 512 + 64, struct.pack(">QIHHIIQII", 4 * 512, 1, 1, 3, 0, 0, 0, 0, 0) + b"2two")
    )
    image = with_fields(image, nb_snapshots=2, snapshots_offset=5 * 512)
    match = match_of(image, "qcow2")
    assert policies(examine(image)) == {"snapshots": "warn"}
    assert [field.value for field in match.fields if field.name.startswith("snapshot ")] == ["first", "two"]
    assert "header" in codes(examine(patched(image, (5 * 512 + 36, be(1025, 4)))))
    assert "header" in codes(examine(patched(image, (5 * 512, be(4 * 512 + 8, 8)))))
    assert "outside-file" in codes(examine(patched(image, (5 * 512, be(1 << 40, 8)))))


def test_claimed_sizes_cost_no_memory() -> None:
    entries = [4 * 512 + (number << 9) for number in range(1 << 19)]
    size = 1 << 19
    head = handmade([0], {}, 4)
    l1 = struct.pack(f">{len(entries)}Q", *(entry | COPIED for entry in entries))
    image = with_fields(head[: 3 * 512] + l1, l1_size=len(entries), size=size * 64 * 512)
    tracemalloc.start()
    finding_codes = codes(examine(image))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert finding_codes >= {"outside-file", "overlap"}
    assert peak < 40 * MiB


@given(st.data())
def test_l2_table_at_once_equals_entry_by_entry(data: st.DataObject) -> None:
    cluster_bits = data.draw(st.integers(9, 21))
    wide = data.draw(st.booleans()) and cluster_bits >= 14
    kinds = st.one_of(
        st.integers(0, (1 << 64) - 1),
        st.integers(0, 1 << 20).map(lambda number: number << cluster_bits & OFFSET | COPIED),
        st.integers(0, (1 << 62) - 1).map(lambda number: number | COMPRESSED),
        st.sampled_from((0, 1, (1 << 64) - 1)),
    )
    entries = data.draw(st.lists(kinds, min_size=1, max_size=40))
    bitmaps = data.draw(st.lists(st.integers(0, (1 << 64) - 1), min_size=len(entries), max_size=len(entries)))
    words = [word for pair in zip(entries, bitmaps, strict=True) for word in pair] if wide else entries
    piece = L2Entries(cluster_bits, 16 if wide else 8).read(struct.pack(f">{len(words)}Q", *words))
    at = 62 - (cluster_bits - 8)
    expected = []
    for entry in entries:
        if entry & COMPRESSED:
            sectors = entry >> at & (1 << cluster_bits - 8) - 1
            expected.append((entry & (1 << at) - 1 & ~511) + sectors * 512)
        else:
            expected.append(entry & OFFSET)
    plain = [entry for entry in entries if not entry & COMPRESSED]
    assert [offset for offset in piece.offsets if offset] == [offset for offset in expected if offset]
    assert piece.compressed == (len(plain) < len(entries))
    assert piece.reserved == any(entry & RESERVED for entry in plain)
    assert piece.unaligned == any(entry & OFFSET & (1 << cluster_bits) - 1 for entry in plain)
    assert piece.any_of({expected[0]}) == (expected[0] > 0)
    assert not piece.any_of({(1 << 63) + 512})
