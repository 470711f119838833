"""XFS whose structures contradict themselves, or have features that are not read."""

from __future__ import annotations

import struct

import pytest
from guest_mutants import mutants, walk_all
from guest_xfs import DATA, changed, find, opened, with_superblock, without_log
from sparse_images import SparseSource, load

from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems import xfs


@pytest.mark.parametrize(("bits", "word"), [(0x100, "metadir"), (0x200, "zoned"), (1 << 20, "bit 20")])
def test_incompatible_features_that_are_not_known_are_unsupported(bits, word):
    source = load(DATA / "small.image")
    incompat = int.from_bytes(source.pread(216, 4), "big") | bits
    with pytest.raises(Unsupported, match=word) as caught:
        opened(with_superblock(source, 216, incompat.to_bytes(4, "big")))
    assert caught.value.code == "guest-unknown"


def test_a_file_system_that_no_kernel_mounts_before_a_repair_is_unclean():
    source = load(DATA / "small.image")
    incompat = int.from_bytes(source.pread(216, 4), "big") | 0x10
    with pytest.raises(Unsupported) as caught:
        opened(with_superblock(source, 216, incompat.to_bytes(4, "big")))
    assert caught.value.code == "guest-unclean"


@pytest.mark.parametrize(
    ("place", "data"),
    [(126, b"\1"), (4, b"\0\0\0\0"), (84, b"\0\0\0\1"), (8, b"\x7f"), (123, b"\0"), (192, b"\x0a"), (88, b"\xff" * 4)],
)
def test_superblocks_that_contradict_themselves_are_broken(place, data):
    with pytest.raises(Broken):
        opened(with_superblock(load(DATA / "small.image"), place, data))


def test_a_superblock_with_a_wrong_checksum_is_broken():
    with pytest.raises(Broken, match="checksum"):
        opened(changed(load(DATA / "small.image"), (108, b"other")))


def folder_leaf(source: SparseSource, path: str) -> tuple[int, bytes]:
    """Where the first leaf block of a folder is, and its bytes."""
    for number, block in source.blocks.items():
        if block[8:10] in {b"\x3d\xf1", b"\x3d\xff"}:
            return number * 4096, block
    raise AssertionError("no leaf")


def test_an_address_in_a_leaf_that_no_entry_has_is_broken():
    source = load(DATA / "default.image")
    place, block = folder_leaf(source, "folder300")
    (count,) = struct.unpack_from(">H", block, 56)
    live = next(n for n in range(count) if block[64 + n * 8 + 4 : 72 + n * 8] != bytes(4))
    address = int.from_bytes(block[64 + live * 8 + 4 : 72 + live * 8], "big") + 1
    altered = changed(source, (place + 64 + live * 8 + 4, address.to_bytes(4, "big")))
    with pytest.raises(Broken, match=r"do not agree|points behind"):
        list(walk_all(opened(altered)))


def test_an_entry_that_is_not_in_the_leaves_is_broken():
    source = load(DATA / "default.image")
    place, block = folder_leaf(source, "folder300")
    (count,) = struct.unpack_from(">H", block, 56)
    live = next(n for n in range(count) if block[64 + n * 8 + 4 : 72 + n * 8] != bytes(4))
    with pytest.raises(Broken, match="do not agree"):
        list(walk_all(opened(changed(source, (place + 64 + live * 8 + 4, bytes(4))))))


def inode_place(source: SparseSource, number: int) -> int:
    for block, data in source.blocks.items():
        for at in range(0, 4096, 512):
            if data[at : at + 2] == b"IN" and data[at + 152 : at + 160] == number.to_bytes(8, "big"):
                return block * 4096 + at
    raise AssertionError("no such inode")


@pytest.mark.parametrize(
    ("place", "data"),
    [
        (0, b"XX"),
        (2, b"\0\0"),
        (4, b"\2"),
        (5, b"\1"),
        (5, b"\7"),
        (56, b"\xff"),
        (82, b"\xff"),
        (152, b"\1"),
        (160, b"\1\1"),
    ],
)
def test_inodes_that_contradict_themselves_are_broken(place, data):
    source = load(DATA / "default.image")
    number = find(opened(source), "large").ref
    with pytest.raises(Broken):
        opened(changed(source, (inode_place(source, number) + place, data))).node(number)


def test_extents_out_of_order_and_outside_of_the_disk_are_broken():
    source = load(DATA / "default.image")
    node = find(opened(source), "large")
    place = inode_place(source, node.ref)
    for block, count in [(1 << 51, 1), (0, 1 << 20), (5, 0), ((1 << 52) - 1, 3)]:
        record = block << 21 | count
        altered = opened(changed(source, (place + 176, record.to_bytes(16, "big"))))
        with pytest.raises(Broken):
            list(altered.chunks(altered.node(node.ref)))


def test_a_file_of_the_realtime_section_is_unsupported():
    source = load(DATA / "default.image")
    node = find(opened(source), "large")
    system = opened(changed(source, (inode_place(source, node.ref) + 90, b"\0\1")))
    with pytest.raises(Unsupported, match="realtime"):
        list(system.chunks(system.node(node.ref)))


class Sliced:
    """A sparse image as bytes that can be cut."""

    def __init__(self, source: SparseSource) -> None:
        self.source = source

    def __len__(self) -> int:
        return self.source.size

    def __getitem__(self, part: slice | int) -> bytes | int:
        if isinstance(part, int):
            return self.source.pread(part, 1)[0]
        return self.source.pread(part.start, part.stop - part.start)


def test_mutants_raise_nothing_but_the_three_errors():
    source = without_log(load(DATA / "small-clean.image"))
    assert mutants(Sliced(source), xfs.open, 300, steps=200_000) > 30
