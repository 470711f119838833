"""Disks without a partition table: named by their file system, and raw to the image service."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.plugins.formats.file_systems import SIGNATURES
from support.examination import assert_cuts_agree, examine, examine_file, names
from support.images.partitions import blank, run


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ext", ("mkfs.ext4", "-q")),
        ("ext", ("mkfs.ext2", "-q", "-b", "1024")),
        ("fat", ("mkfs.fat", "-F", "12")),
        ("fat", ("mkfs.fat", "-F", "32", "-S", "512", "-s", "1")),
        ("swap", ("mkswap", "-q")),
    ],
)
def test_file_systems_of_real_tools_are_named_and_pass(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    disk = blank(tmp_path / "disk", 40 << 20)
    run(*words, disk)
    examination = examine_file(disk)
    (match,) = examination.matches
    assert (match.name, match.disk_format, match.kind, match.virtual_size) == (name, "raw", "content", 40 << 20)
    assert not examination.findings


@pytest.mark.parametrize(("name", "offset", "magic"), SIGNATURES)
def test_signature_is_recognised_at_its_offset_only(name: str, offset: int, magic: bytes) -> None:
    for at, expected in ((offset, [name]), (offset + 1, []), (offset + 4096 * 3 + 7, [])):
        disk = bytearray(100 << 10)
        disk[at : at + len(magic)] = magic
        assert names(examine(disk)) == expected
    assert names(examine(bytes(disk[:512]))) == []


def place(*fields: tuple[int, bytes]) -> bytearray:
    disk = bytearray(100 << 10)
    for at, value in fields:
        disk[at : at + len(value)] = value
    return disk


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("hfs+", [(1024, b"H+\0\4"), (1064, b"\0\0\x10\0")]),
        ("hfs", [(1024, b"BD"), (1044, b"\0\0\2\0")]),
        ("nilfs2", [(1024, b"\2\0\0\0\0\0\x34\x34\0\4")]),
        ("zfs", [(16384, b"\1\1" + bytes(22)), (16384 + 24, b"version\0")]),
        ("sun", [(508, b"\xda\xbe\xda\xbe")]),
        ("mac", [(0, b"ER"), (512, b"PM")]),
        ("minix", [(1024, b"\x40\0\x64\0\1\0\1\0\6\0\0\0\0\x1c\x08\x10\x8f\x13")]),
    ],
)
def test_short_magic_needs_its_further_conditions(name: str, fields: list[tuple[int, bytes]]) -> None:
    disk = place(*fields)
    assert names(examine(disk)) == [name]
    at, value = fields[-1]
    disk[at : at + len(value)] = b"\x99" * len(value)
    assert names(examine(disk)) == []


def test_two_bytes_of_ext_magic_alone_are_not_ext() -> None:
    assert names(examine(place((1080, b"\x53\xef")))) == []
    for inodes, blocks, expected in ((1, 1, ["ext"]), (0, 1, []), (1, 0, [])):
        counts = inodes.to_bytes(4, "little") + blocks.to_bytes(4, "little")
        assert names(examine(place((1024, counts), (1080, b"\x53\xef")))) == expected


@pytest.mark.parametrize("content", [bytes(1 << 20), bytes(range(256)) * 4096, b"", b"\1"])
def test_unknown_disk_has_no_match(content: bytes) -> None:
    examination = examine(content)
    assert names(examination) == []
    assert not examination.findings


@given(st.data())
def test_changed_signatures_do_not_fail_the_reader(data: st.DataObject) -> None:
    disk = bytearray(70 << 10)
    for _ in range(data.draw(st.integers(0, 4))):
        _, at, magic = data.draw(st.sampled_from(SIGNATURES))
        disk[at : at + len(magic)] = magic
        disk[at + data.draw(st.integers(0, 7))] = data.draw(st.integers(0, 255))
    disk = disk[: data.draw(st.integers(0, len(disk)))]
    assert_cuts_agree(bytes(disk), cut=data.draw(st.integers(500, 1 << 16)))
