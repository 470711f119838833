"""NTFS, on volumes that mkfs.ntfs, ntfscp and ntfs-3g made, and on changes of them."""

from __future__ import annotations

import hashlib
import os
import random

import pytest
from guest_ntfs import copy, make, named, opened, read, refs
from guest_stored import compact_tree, fill_compressed, fragment, lines, run, stored
from guest_trees import Facts, listing, truth

from douane_guest.filesystems import ntfs
from douane_guest.filesystems.base import CHAR, FIFO, FILE, LINK

PLAIN_ONLY = {
    b"fifo": (FIFO, None),
    b"null": (CHAR, None),
    b"linux link": (LINK, b"folder/target"),
    b"junction": (LINK, b"C:/Users"),
    b"symlink": (LINK, b"C:/Users"),
    b"one:stream": (FILE, b"a stream"),
    b"one:large": (FILE, lines(2000, "stream")),
    b"folder:of a folder": (FILE, b"a stream of a folder"),
    b"folder/hard link": (FILE, lines(20_000, "lines")),
    b"fragments": (FILE, b"".join(fragment(number) + bytes(1024) for number in range(1200))[:-1024]),
}


@pytest.fixture(scope="module")
def image() -> bytes:
    return stored("ntfs")


@pytest.fixture(scope="module")
def compressed() -> bytes:
    return stored("ntfs-compressed")


def comparable(facts: dict[bytes, Facts], changed_later: tuple[bytes, ...] = ()) -> dict[bytes, Facts]:
    """Without owners and modes, which NTFS has not, and without the times of what was changed after they were set."""
    return {
        path: fact._replace(mode=None, uid=None, gid=None, mtime_ns=None if path in changed_later else fact.mtime_ns)
        for path, fact in facts.items()
    }


def test_every_file_is_read(image, tmp_path):
    compact_tree(tmp_path / "tree")
    system = opened(image)
    entries = listing(system)
    late = (b"", b"folder", b"one")
    both = {path: fact for path, fact in entries.items() if path not in PLAIN_ONLY and path != b"wof"}
    assert comparable(both, late) == comparable(truth(tmp_path / "tree"), late)
    for path, (kind, expected) in PLAIN_ONLY.items():
        assert entries[path].kind == kind
        content = entries[path].target if kind == LINK else entries[path].sha256
        assert content == (hashlib.sha256(expected).hexdigest() if kind == FILE else expected)


def test_every_compressed_file_is_read(compressed, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "setxattr", lambda *_: None)  # the truth is not compressed
    (tmp_path / "tree").mkdir()
    fill_compressed(tmp_path / "tree")
    late = (b"", b"mixed", b"noise", b"runs")
    system = opened(compressed)
    assert comparable(listing(system), late) == comparable(truth(tmp_path / "tree"), late)
    assert any(attribute.flags & 1 for attribute in named(system, b"mixed").detail.file.parts(0x80))


@pytest.mark.parametrize("name", [b"mixed", b"hole", b"runs"])
def test_a_compressed_file_is_read_from_any_place_on(compressed, name):
    system = opened(compressed)
    node, content = named(system, name), read(system, name)
    for start in (0, 4095, 65_536, 200_000, node.size - 1, node.size):
        rest = bytearray(node.size)
        for offset, piece in system.chunks(node, start):
            assert offset + len(piece) > start
            rest[offset : offset + len(piece)] = piece
        assert rest[start:] == content[start:]


@pytest.mark.parametrize("cluster", [512, 1024, 4096, 65_536, 2 << 20])
def test_every_size_of_clusters_is_read(tmp_path, cluster):
    image = make(tmp_path, "-c", str(cluster), "-L", "A LABEL", megabytes=64)
    chance = random.Random(cluster)
    files = {b"large": chance.randbytes(3_000_001), b"small": b"small", b"empty": b"", b"page": chance.randbytes(4096)}
    files |= {b"number %d" % number: b"%d" % number for number in range(30)}
    for name, data in files.items():
        copy(image, name.decode(), data)
    copy(image, "small", b"a stream", "-N", "of it")
    system = opened(image.read_bytes())
    assert {name: read(system, name) for name in refs(system)} == files | {b"small:of it": b"a stream"}
    names = run("blkid", "-p", "-o", "export", image).decode().splitlines()
    assert (system.name, system.label, system.clean, system.unread) == ("ntfs", "A LABEL", True, [])
    assert {f"UUID={system.uuid}", "TYPE=ntfs"} <= set(names)


def test_what_is_not_on_the_disk_of_the_guest_is_left_out(image):
    """The volume's own files, and names for DOS alone."""
    names = set(refs(opened(image)))
    assert not {name for name in names if name.startswith(b"$")}
    assert b"GRUSS~1" not in names
    assert "Grüße, 世界".encode() in names


def test_links_devices_and_extended_attributes_are_shown(image):
    system = opened(image)
    assert named(system, b"lines").links == 2
    assert named(system, b"lines") == system.node(
        next(entry.ref for entry in system.entries(named(system, b"folder")) if entry.name == b"hard link")
    )
    assert named(system, b"null").device == (1, 3)
    assert system.xattrs(named(system, b"one")) == {b"NAME": b"value"}
    assert [node.mode for node in (named(system, b"one"), named(system, b"folder"), named(system, b"symlink"))] == [
        0o755,
        0o755,
        0o777,
    ]


def test_an_attribute_in_many_records_is_read_in_full(image):
    system = opened(image)
    parts = named(system, b"fragments").detail.file.parts(0x80)
    assert len(parts) > 1
    assert system.place(named(system, b"fragments")) > 0


def folders_of(system: ntfs.Ntfs):
    nodes = [system.node(ref) for ref in refs(system).values()]
    return [system.node(system.root), *(node for node in nodes if node.kind == "dir")]


def sought_in(system: ntfs.Ntfs, folder) -> list[bytes]:
    listed = [entry.name for entry in system.entries(folder)][:40]
    return [b"absent", *(change for name in listed for change in (name, name.upper(), name + b"x", name[:-1] or b"y"))]


def finds(system: ntfs.Ntfs, folder, name: bytes, entries) -> set:
    key = system.key(folder)
    return {entry.ref for entry in entries if key(entry.name) == key(name)}


def test_a_search_finds_what_a_list_of_the_folder_has(image):
    system = opened(image)
    count = 0
    for folder in folders_of(system):
        whole = list(system._checked(folder, with_dos=True, with_streams=False))
        for name in sought_in(system, folder):
            matches = finds(system, folder, name, system.names(folder, name))
            assert matches == finds(system, folder, name, whole) or b":" in name
            count += bool(matches)
    assert count > 50


def test_a_folder_that_is_in_another_order_is_read_as_a_whole(image, monkeypatch):
    system = opened(image)
    folder = max(folders_of(system), key=lambda node: len(list(system.entries(node))))
    name = next(entry.name for entry in system.entries(folder) if b":" not in entry.name)
    assert len(list(system.names(folder, name))) < 3
    in_order = system._folded
    monkeypatch.setattr(system, "_folded", lambda text: bytes(255 - byte for byte in in_order(text)))
    assert len(list(system.names(folder, name))) > 3
    assert finds(system, folder, name, system.names(folder, name))
