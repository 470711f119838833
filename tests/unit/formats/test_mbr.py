"""DOS partition tables: which sectors are a table, and which tables contradict themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, examine, examine_file, names
from support.images import patched
from support.images.partitions import blank, mbr_disk, mbr_entry, mbr_sector, run

LINUX, EXTENDED = 0x83, 0x05


def details(disk: bytes) -> str:
    """The details of the findings, all of which must be about the partition table."""
    examination = examine(disk)
    assert names(examination) == ["mbr"]
    assert codes(examination) <= {"partition-table"}
    return "; ".join(finding.detail for finding in examination.findings)


def test_logical_partitions_of_sfdisk_pass(tmp_path: Path) -> None:
    disk = blank(tmp_path / "disk", 20 << 20)
    table = "label: dos\n2048,4096,83,*\n6144,20000,5\n8192,2048,83\n12288,2048,83\n"
    run("sfdisk", "-q", disk, stdin=table)
    examination = examine_file(disk)
    (match,) = examination.matches
    assert (match.name, match.disk_format, match.kind, match.virtual_size) == ("mbr", "raw", "content", 20 << 20)
    assert not examination.findings
    assert [field.name for field in match.fields if field.name.startswith("partition")] == [
        "partition 1", "partition 2", "partition 5", "partition 6",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [4 << 20, (4 << 20) + 3])
def test_virtual_size_is_the_size_of_the_image(size: int) -> None:
    for size_known in (True, False):
        (match,) = examine(mbr_disk(mbr_entry(LINUX, 2048, 100), size=size), size_known=size_known).matches
        assert match.virtual_size == size


@pytest.mark.parametrize("option", ["--mbr=y", "--mbr=n"])
def test_fat_with_a_partition_table_inside_is_not_mbr(tmp_path: Path, option: str) -> None:
    run("mkfs.fat", "-C", option, tmp_path / "disk", "4096")
    assert names(examine_file(tmp_path / "disk")) == ["fat"]


@pytest.mark.parametrize(
    "sector",
    [
        pytest.param(b"\xeb\x52\x90NTFS    ".ljust(510, b"\0"), id="ntfs"),
        pytest.param(b"\xeb\x76\x90EXFAT   ".ljust(510, b"\0"), id="exfat"),
        pytest.param(b"MZ".ljust(446, b"\0") + mbr_entry(LINUX, 1, 1), id="kernel"),
        pytest.param(bytes(446) + mbr_entry(LINUX, 1, 1, active=7), id="no-such-flag"),
        pytest.param(bytes(510), id="empty"),
    ],
)
def test_other_boot_sectors_are_not_mbr(sector: bytes) -> None:
    disk = sector.ljust(510, b"\0") + b"\x55\xaa" + b"\0\0HdrS" * sector.startswith(b"MZ") + bytes(1 << 20)
    assert "mbr" not in names(examine(disk))


def test_overlapping_partitions_are_found() -> None:
    text = details(mbr_disk(mbr_entry(LINUX, 2048, 1000), mbr_entry(LINUX, 3000, 1000)))
    assert "partition 1 and partition 2 overlap" in text


def test_adjacent_partitions_pass() -> None:
    assert not details(mbr_disk(mbr_entry(LINUX, 2048, 1000), mbr_entry(LINUX, 3048, 1000)))


def test_partition_outside_the_image_is_found() -> None:
    assert "ends at sector 9048, but the image has 8192" in details(mbr_disk(mbr_entry(LINUX, 8048, 1000)))


def test_two_active_partitions_are_found() -> None:
    text = details(mbr_disk(mbr_entry(LINUX, 2048, 10, 0x80), mbr_entry(LINUX, 3048, 10, 0x80)))
    assert "more than one" in text


def test_partition_over_the_table_is_found() -> None:
    assert "begins at sector 0" in details(mbr_disk(mbr_entry(LINUX, 0, 1000)))


def test_two_extended_partitions_are_found() -> None:
    disk = mbr_disk(mbr_entry(EXTENDED, 2048, 10), mbr_entry(EXTENDED, 3048, 10))
    assert "two extended" in details(patched(disk, (2048 * 512, mbr_sector())))


def with_records(*records: tuple[int, bytes]) -> bytes:
    """A disk with an extended partition in sectors 2048 to 6047, and boot records in some of its sectors."""
    disk = mbr_disk(mbr_entry(EXTENDED, 2048, 4000))
    return patched(disk, *((sector * 512, record) for sector, record in records))


def test_loop_of_logical_partitions_ends() -> None:
    first = mbr_sector(mbr_entry(LINUX, 10, 100), mbr_entry(EXTENDED, 500, 200))
    second = mbr_sector(mbr_entry(LINUX, 10, 100), mbr_entry(EXTENDED, 500, 200))
    assert "a loop" in details(with_records((2048, first), (2548, second)))


def test_backward_chain_is_unchecked_and_passes() -> None:
    first = mbr_sector(mbr_entry(LINUX, 10, 100), mbr_entry(EXTENDED, 900, 200))
    second = mbr_sector(mbr_entry(LINUX, 10, 100), mbr_entry(EXTENDED, 500, 200))
    assert codes(examine(with_records((2048, first), (2948, second)))) == {"unchecked"}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (bytes(512), "no extended boot record"),
        (mbr_sector(mbr_entry(LINUX, 10, 100), mbr_entry(EXTENDED, 4000, 9)), "outside the partition"),
        (mbr_sector(mbr_entry(LINUX, 10, 4000)), "outside the extended partition"),
        (mbr_sector(mbr_entry(LINUX, 0, 100)), "overlaps its own table"),
    ],
)
def test_impossible_extended_boot_record_is_found(record: bytes, text: str) -> None:
    assert text in details(with_records((2048, record)))


def test_length_of_the_chain_is_bounded() -> None:
    # Every sector of the extended partition is a record that leads to the next one.
    records = [
        (sector, mbr_sector(bytes(16), mbr_entry(EXTENDED, sector + 1 - 2048, 1))) for sector in range(2048, 6047)
    ]
    assert "more than 128" in details(with_records(*records))


@given(st.data())
def test_changed_table_does_not_fail_the_reader(data: st.DataObject) -> None:
    first = mbr_sector(mbr_entry(LINUX, 10, 100), mbr_entry(EXTENDED, 500, 200))
    second = mbr_sector(mbr_entry(LINUX, 10, 100))
    disk = bytearray(with_records((2048, first), (2548, second))[: 3000 * 512])
    for _ in range(data.draw(st.integers(0, 6))):
        base = data.draw(st.sampled_from([0, 2048 * 512, 2548 * 512]))
        disk[base + data.draw(st.integers(440, 511))] = data.draw(st.integers(0, 255))
    assert_cuts_agree(bytes(disk[: data.draw(st.integers(0, len(disk)))]), cut=data.draw(st.integers(1 << 16, 1 << 18)))
