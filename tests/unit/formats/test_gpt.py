"""GUID partition tables: tables of real tools pass, and contradictions are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.examination import assert_cuts_agree, codes, examine, examine_file, names
from support.images import patched
from support.images.partitions import blank, gpt_disk, gpt_entries, gpt_header, mbr_entry, mbr_sector, run

PARTITIONS = ((2048, 4095), (4096, 8000))
END = 8192
"""Sectors of the disks in these tests."""


def details(disk: bytes) -> str:
    """The details of the findings, all of which must be about the partition table."""
    examination = examine(disk)
    assert names(examination) == ["gpt"]
    assert codes(examination) <= {"partition-table"}
    return "; ".join(finding.detail for finding in examination.findings)


def test_partitions_of_sgdisk_pass(tmp_path: Path) -> None:
    disk = blank(tmp_path / "disk", 20 << 20)
    run("sgdisk", "-n", "1:2048:8191", "-t", "1:ef00", "-c", "1:boot", "-n", "2:8192:0", disk)
    examination = examine_file(disk)
    (match,) = examination.matches
    assert (match.name, match.disk_format, match.kind, match.virtual_size) == ("gpt", "raw", "content", 20 << 20)
    assert not examination.findings
    noted = {field.name: field.value for field in match.fields}
    assert noted["partition 1"] == "EFI system 'boot', 6144 sectors from 2048"


def test_hybrid_mbr_of_sgdisk_is_found(tmp_path: Path) -> None:
    disk = blank(tmp_path / "disk", 20 << 20)
    run("sgdisk", "-n", "1:2048:8191", disk)
    run("sgdisk", "-h", "1", disk)
    assert "hybrid" in details(disk.read_bytes())


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("size_known", [True, False])
def test_both_sector_sizes_are_read(sector: int, size_known: bool) -> None:
    examination = examine(gpt_disk((100, 200), (300, 400), sector=sector), size_known=size_known)
    (match,) = examination.matches
    assert not examination.findings
    assert match.virtual_size == 4 << 20
    assert {field.value for field in match.fields if field.name == "sector size"} == {sector}
    assert "partition 2" in {field.name for field in match.fields}


def changed_header(own_sector: int, copy_sector: int, table: int, **changed: int) -> bytes:
    """A header like that of the disk, with `changed` fields."""
    changed.setdefault("last", END - 34)
    return gpt_header(own_sector, copy_sector, table, gpt_entries(*PARTITIONS), **changed)


@pytest.mark.parametrize(
    ("offset", "data", "text"),
    [
        pytest.param(512 + 40, b"\xff", "the header cannot be used: its checksum", id="checksum"),
        pytest.param(1024 + 56, b"\xff", "the checksum of the entries is wrong", id="entries"),
        pytest.param(-512 + 40, b"\xff", "copy of the header cannot be used: its checksum", id="copy"),
        pytest.param(-512, bytes(8), "its copy is missing", id="no-copy"),
        pytest.param(-512 - 16000, b"\xff", "the checksum of the copy of the entries", id="copy-entries"),
        pytest.param(512, bytes(512), "its first header is missing", id="no-header"),
        pytest.param(0, bytes(512), "does not protect it and is empty", id="no-mbr"),
        pytest.param(
            0, mbr_sector(mbr_entry(0x83, 2048, 100)), "protect it and has partitions of its own", id="old-mbr"
        ),
        pytest.param(
            0, mbr_sector(mbr_entry(0xEE, 1, 9), mbr_entry(0x83, 3000, 100)), "which the GPT does not", id="hybrid"
        ),
        pytest.param(512, changed_header(1, END - 1, 2, first=3000), "partition 1, sectors 2048 to 4095", id="first"),
        pytest.param(512, changed_header(1, END - 1, 2, first=3), "overlap the entries", id="on-table"),
        pytest.param(512, changed_header(7, END - 1, 2), "it states sector 7", id="elsewhere"),
        pytest.param(512, changed_header(1, 1 << 60, 2), "the image ends before", id="copy-far"),
        pytest.param(512, changed_header(1, 0, 2), "its copy cannot be at sector 0", id="copy-first"),
        pytest.param(512, changed_header(1, END - 1, 1 << 60), "the entries end outside the image", id="entries-far"),
        pytest.param(512, changed_header(1, END - 1, 2, entry_count=(1 << 32) - 1), "absurd", id="many"),
        pytest.param(512, changed_header(1, END - 1, 2, entry_bytes=96), "entry cannot have 96 bytes", id="entry-size"),
        pytest.param(512, changed_header(1, END - 1, 2, last=END - 33), "disagree: last is", id="disagree"),
        pytest.param(
            -512, changed_header(END - 1, 9, END - 33), "states that the header is at sector 9", id="copy-back"
        ),
    ],
)
def test_contradictory_table_is_found(offset: int, data: bytes, text: str) -> None:
    disk = gpt_disk(*PARTITIONS)
    assert not details(disk)
    assert text in details(patched(disk, (offset, data)))


@pytest.mark.parametrize(
    ("partitions", "text"),
    [
        ([(2048, 4095), (4095, 8000)], "partition 1 and partition 2 overlap"),
        ([(2048, 9000)], "is outside 34 to"),
        ([(4000, 3000)], "ends before it begins"),
    ],
)
def test_impossible_partitions_are_found(partitions: list[tuple[int, int]], text: str) -> None:
    assert text in details(gpt_disk(*partitions))


def test_copy_alone_is_recognised_at_the_end() -> None:
    disk = patched(gpt_disk(*PARTITIONS), (0, bytes(34 * 512)))
    examination = examine(disk)
    (match,) = examination.matches
    assert (match.name, match.at) == ("gpt", "end")
    assert "partition 2" in {field.name for field in match.fields}
    assert "its first header is missing" in details(disk)


def test_missing_header_and_copy_are_found() -> None:
    disk = patched(gpt_disk(*PARTITIONS), (512, bytes(512)), (-512, bytes(512)))
    assert "no copy at the end either" in details(disk)


def test_copy_in_the_middle_of_a_grown_disk_is_read() -> None:
    grown = gpt_disk(*PARTITIONS) + bytes(3 << 20)
    assert details(grown) == "its copy is at sector 8191, but the last sector is 14335: the disk has grown"
    assert "copy of the header cannot be used" in details(patched(grown, ((4 << 20) - 512 + 40, b"\xff")))


def test_truncated_disk_is_found() -> None:
    texts = details(gpt_disk(*PARTITIONS)[: 3 << 20])
    assert "the image ends before" in texts
    assert "partition 2 ends at byte" in texts


def test_vhd_footer_is_not_part_of_the_disk(qemu_img: Callable[..., bytes]) -> None:
    image = qemu_img("vpc", "-o", "subformat=fixed,force_size=on", data=gpt_disk(*PARTITIONS))
    assert [finding for finding in examine(image).findings if finding.code == "partition-table"] == []


@pytest.mark.parametrize("kind", ["vdi", "vpc", "qcow2", "vmdk", "parallels"])
def test_copy_of_a_guest_in_another_format_is_not_a_match(qemu_img: Callable[..., bytes], kind: str) -> None:
    image = qemu_img(kind, data=gpt_disk(*PARTITIONS))
    at = image.rindex(b"EFI PART")
    assert "gpt" not in names(examine(image[: at + 512]))


@given(st.data())
def test_changed_table_does_not_fail_the_reader(data: st.DataObject) -> None:
    disk = bytearray(gpt_disk(*PARTITIONS, size=200 << 10))
    for _ in range(data.draw(st.integers(0, 6))):
        base = data.draw(st.sampled_from([446, 512, 1024, len(disk) - 512 - (16 << 10), len(disk) - 512]))
        disk[base + data.draw(st.integers(0, 127)) if base > 446 else base + 4] = data.draw(st.integers(0, 255))
    disk = disk[: data.draw(st.sampled_from([len(disk), data.draw(st.integers(0, len(disk)))]))]
    assert_cuts_agree(bytes(disk), cut=data.draw(st.integers(500, 1 << 16)))
