"""FAT12, FAT16 and FAT32, on file systems that dosfstools and mtools make."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest
from guest_fat import make_fat, node_of, opened, run
from guest_mutants import mutants
from guest_stored import stored
from guest_trees import Facts, listing, make_tree, truth

from douane_guest.budget import Budget
from douane_guest.errors import Unsupported
from douane_guest.filesystems import fat
from douane_guest.filesystems.base import FOLDER
from douane_guest.source import BytesSource

SECTOR = 512


def fill(image: Path, tree: Path) -> None:
    run("mcopy", "-s", "-m", "-i", image, *sorted(tree.iterdir()), "::")


def small_tree(root: Path) -> Path:
    """What fits on a floppy disk."""
    (root / "folder/Below with a long name").mkdir(parents=True)
    (root / "README.TXT").write_bytes(b"short")
    (root / "lower.txt").write_bytes(b"case bits")
    (root / "Mixed.Txt").write_bytes(b"a long name")
    (root / "Grüße, 世界").write_bytes(b"unicode")
    (root / "folder/large").write_bytes(random.Random(1).randbytes(300_001))
    (root / "folder/empty").write_bytes(b"")
    for number in range(60):
        (root / f"folder/Below with a long name/number {number}").write_bytes(b"%d" % number)
    for path in [*root.rglob("*")]:
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def comparable(facts: dict[bytes, Facts]) -> dict[bytes, Facts]:
    """FAT has no owners; mtools gives folders the time of now; times have two seconds."""
    return {
        path: fact._replace(
            mode=None,
            uid=None,
            gid=None,
            mtime_ns=None if fact.kind == FOLDER else fact.mtime_ns // 2_000_000_000,
        )
        for path, fact in facts.items()
    }


@pytest.mark.parametrize(
    ("megabytes", "options"),
    [
        (2, ["-F", "12"]),
        (4, ["-F", "12", "-s", "8", "-f", "1"]),
        (16, ["-F", "16"]),
        (16, ["-F", "16", "-s", "2", "-S", "1024"]),
        (40, ["-F", "32"]),
        (300, ["-F", "32", "-S", "4096", "-s", "1"]),
    ],
)
def test_every_file_of_a_small_tree_is_read(tmp_path, megabytes, options):
    image = make_fat(tmp_path / "image", megabytes, *options)
    tree = small_tree(tmp_path / "tree")
    fill(image, tree)
    assert comparable(listing(opened(image))) == comparable(truth(tree))


def test_every_file_of_a_large_tree_is_read(tmp_path):
    make_tree(tmp_path / "tree", names="unicode", folder_size=300)
    (tmp_path / "tree" / "\N{GRINNING FACE}").unlink()  # mtools writes half of its surrogate pair
    image = make_fat(tmp_path / "image", 128, "-F", "32", "-s", "2")
    fill(image, tmp_path / "tree")
    assert comparable(listing(opened(image))) == comparable(truth(tmp_path / "tree"))


def test_a_fragmented_file_is_read_from_any_place_on(tmp_path):
    image = make_fat(tmp_path / "image", 16, "-F", "16", "-s", "1")
    content = random.Random(2).randbytes(3_000_001)
    for name, data in [("a", bytes(512)), ("b", bytes(512)), ("c", bytes(512))]:
        (tmp_path / name).write_bytes(data)
        run("mcopy", "-i", image, tmp_path / name, "::")
    run("mdel", "-i", image, "::a")
    run("mdel", "-i", image, "::c")
    (tmp_path / "file").write_bytes(content)
    run("mcopy", "-i", image, tmp_path / "file", "::")
    system = opened(image)
    node = node_of(system, b"file")
    for start in (0, 511, 512, 1 << 20, 2_999_999, 3_000_001):
        pieces = list(system.chunks(node, start))
        assert all(len(data) <= 1 << 20 for _, data in pieces)
        assert all(content[offset : offset + len(data)] == data for offset, data in pieces)
        assert sum(len(data) for offset, data in pieces if offset + len(data) > start) >= len(content) - start


@pytest.mark.parametrize("bits", ["12", "16", "32"])
def test_the_label_the_uuid_and_cleanliness_are_those_that_other_tools_show(tmp_path, bits):
    image = make_fat(
        tmp_path / "image",
        40 if bits == "32" else 16 if bits == "16" else 2,
        "-F",
        bits,
        "-n",
        "A LABEL",
        "-i",
        "1234abcd",
    )
    system = opened(image)
    shown = run("blkid", "-p", "-o", "export", image).decode().splitlines()
    assert (system.name, system.uuid, system.label, system.clean) == ("vfat", "1234-ABCD", "A LABEL", True)
    assert {f"UUID={system.uuid}", "LABEL=A\\ LABEL", "TYPE=vfat"} <= set(shown)
    data = bytearray(image.read_bytes())
    data[0x41 if bits == "32" else 0x25] = 1
    assert not opened(bytes(data)).clean
    assert opened(bytes(data)).unread == []


@pytest.mark.parametrize(("bits", "mark"), [(16, 0x7FFF), (32, 0x07FFFFFF)])
def test_the_bit_that_windows_clears_in_the_table_means_not_unmounted(tmp_path, bits, mark):
    data = bytearray(make_fat(tmp_path / "image", 40, "-F", str(bits)).read_bytes())
    place = struct.unpack_from("<H", data, 14)[0] * SECTOR
    struct.pack_into("<H" if bits == 16 else "<I", data, place + bits // 8, mark)
    assert not opened(bytes(data)).clean


# What follows writes records by hand into a FAT16 file system with one sector to a cluster.


def test_a_file_system_whose_first_table_is_out_of_date_is_not_read(tmp_path):
    data = bytearray(make_fat(tmp_path / "image", 40, "-F", "32").read_bytes())
    struct.pack_into("<H", data, 0x28, 0x81)
    assert fat.probe(BytesSource(bytes(data)))
    with pytest.raises(Unsupported):
        fat.open(BytesSource(bytes(data)), Budget())


@pytest.mark.parametrize("data", [bytes(4096), b"\xff" * 4096, b"", bytes(510) + b"\x55\xaa"])
def test_what_is_not_fat_is_not_taken_for_it(data):
    assert not fat.probe(BytesSource(data))


def test_a_hostile_file_system_ends_in_a_guest_error(tmp_path):
    image = make_fat(tmp_path / "image", 2, "-F", "12")
    fill(image, small_tree(tmp_path / "tree"))
    assert mutants(image.read_bytes(), fat.open, 300, steps=300_000, most=512) > 10


@pytest.mark.parametrize("name", ["exfat", "ntfs"])
def test_exfat_and_ntfs_are_not_taken_for_fat(name):
    assert not fat.probe(BytesSource(stored(name)))
