"""squashfs: images of mksquashfs, compared with the folder that was packed and with what Linux shows of them."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from guest_mutants import mutants
from guest_trees import Facts, listing, make_tree, truth

from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.filesystems import squashfs
from douane_guest.source import BytesSource, FileSource

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("squashfs") / "tree"
    make_tree(root)
    os.truncate(root / "hole", 3 << 20)
    os.truncate(root / "hole at end", 1 << 20)
    os.setxattr(root / "small", "user.note", b"a value")
    os.setxattr(root / "small", "user.long", b"v" * 3000)
    os.setxattr(root / "page", "user.long", b"v" * 3000)
    os.setxattr(root / "folder", "user.empty", b"")
    if os.geteuid() == 0:
        os.setxattr(root / "link50", "security.note", b"of a link", follow_symlinks=False)
    return root


@pytest.fixture(scope="module")
def facts(tree) -> dict[bytes, Facts]:
    """squashfs keeps no parts of a second."""
    return {path: fact._replace(mtime_ns=fact.mtime_ns // SECOND * SECOND) for path, fact in truth(tree).items()}


def pack(tree: Path, image: Path, *options: str) -> bytes:
    subprocess.run(
        ["mksquashfs", tree, image, "-noappend", "-quiet", "-no-progress", "-processors", "1", *options],
        check=True,
        capture_output=True,
    )
    return image.read_bytes()


def opened(data: bytes, **bounds: int) -> squashfs.Squashfs:
    assert squashfs.probe(BytesSource(data))
    return squashfs.open(BytesSource(data), Budget(**bounds))


FEATURES = {
    "gzip": [],
    "xz": ["-comp", "xz"],
    "xz with a filter for x86": ["-comp", "xz", "-Xbcj", "x86"],
    "zstd": ["-comp", "zstd", "-Xcompression-level", "3"],
    "lzo": ["-comp", "lzo"],
    "lz4": ["-comp", "lz4"],
    "lz4hc": ["-comp", "lz4", "-Xhc"],
    "nothing is compressed": ["-noI", "-noD", "-noF", "-noX"],
    "data is compressed alone": ["-noI", "-noX"],
    "blocks of 4 KiB": ["-b", "4K"],
    "blocks of 1 MiB": ["-b", "1M"],
    "no fragments": ["-no-fragments"],
    "every tail in a fragment": ["-always-use-fragments"],
    "tails and sparse blocks stored": ["-no-sparse", "-no-duplicates"],
    "no exports": ["-no-exports"],
    "no hard links": ["-no-hardlinks"],
    "padded to nothing": ["-nopad"],
}


@pytest.mark.parametrize("feature", FEATURES)
def test_every_entry_and_digest_is_that_of_the_packed_folder(tree, facts, tmp_path, feature):
    data = pack(tree, tmp_path / "image", *FEATURES[feature])
    assert listing(opened(data)) == facts


def test_lzma_of_old_is_unsupported(tree, tmp_path):
    with pytest.raises(Unsupported, match="lzma"):
        opened(pack(tree, tmp_path / "image", "-comp", "lzma")).node(0)


@pytest.mark.parametrize("options", [[], ["-noX"]])
def test_extended_attributes_are_those_of_the_packed_folder(tree, tmp_path, options):
    system = opened(pack(tree, tmp_path / "image", *options))
    nodes = {entry.name: system.node(entry.ref) for entry in system.entries(system.node(system.root))}
    for name, node in nodes.items():
        path = os.path.join(os.fsencode(tree), name)
        listed = os.listxattr(path, follow_symlinks=False)
        assert system.xattrs(node) == {
            os.fsencode(key): os.getxattr(path, key, follow_symlinks=False) for key in listed
        }
    assert system.xattrs(nodes[b"small"])[b"user.long"] == b"v" * 3000


def test_hard_links_are_the_same_object_and_devices_have_their_numbers(tree, tmp_path):
    system = opened(pack(tree, tmp_path / "image"))
    refs = {entry.name: entry.ref for entry in system.entries(system.node(system.root))}
    assert refs[b"large"] == refs[b"hard link"]
    assert system.node(refs[b"large"]).links == 2
    if os.geteuid() == 0:
        assert system.node(refs[b"null"]).device == (1, 3)
        assert system.node(refs[b"block"]).device == (259, 300)


def test_what_is_read_from_the_middle_on_is_the_end_of_the_file(tree, tmp_path):
    system = opened(pack(tree, tmp_path / "image", "-b", "64K"))
    refs = {entry.name: entry.ref for entry in system.entries(system.node(system.root))}
    node = system.node(refs[b"large"])
    pieces = list(system.chunks(node, 1_000_000))
    assert pieces[0][0] == 1_000_000 // 65536 * 65536
    assert b"".join(piece for _, piece in pieces) == (tree / "large").read_bytes()[pieces[0][0] :]


def test_a_folder_over_many_metadata_blocks_is_read_whole(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(3000):
        (root / f"{number:0200}").touch()
    system = opened(pack(root, tmp_path / "image"))
    assert [entry.name for entry in system.entries(system.node(system.root))] == [
        b"%0200d" % number for number in range(3000)
    ]


def test_the_tails_of_a_fragment_are_neighbours_in_the_order_of_the_disk(tree, tmp_path):
    system = opened(pack(tree, tmp_path / "image"))
    refs = {entry.name: entry.ref for entry in system.entries(system.node(system.root))}
    places = [system.place(system.node(entry.ref)) for entry in system.entries(system.node(refs[b"folder"]))]
    assert len(set(places)) == 1
    assert places[0] > 0


def test_compressed_zeros_cost_a_block_at_a_time_and_are_counted(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "bomb").write_bytes(bytes(64 << 20))
    data = pack(root, tmp_path / "image", "-no-sparse", "-b", "1M")
    system = opened(data, delivered=10 << 20)
    [entry] = system.entries(system.node(system.root))
    read = 0
    with pytest.raises(TooMuch):
        for _, piece in system.chunks(system.node(entry.ref)):
            read += len(piece)
    assert read == 10 << 20


def test_a_file_of_2_to_the_60_bytes_is_broken_where_its_list_of_blocks_ends(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    with (root / "sparse").open("wb") as file:
        file.truncate(100 << 20)
    data = pack(root, tmp_path / "image", "-noI", "-no-fragments")
    size = data.index((100 << 20).to_bytes(8, "little"))
    system = opened(data[:size] + (1 << 60).to_bytes(8, "little") + data[size + 8 :], steps=1_000_000)
    [entry] = system.entries(system.node(system.root))
    node = system.node(entry.ref)
    assert node.size == 1 << 60
    with pytest.raises((Broken, TooMuch)):
        list(system.chunks(node))


def test_names_that_are_twice_in_a_folder_are_broken(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "first").write_bytes(b"1")
    (root / "other").write_bytes(b"2")
    data = pack(root, tmp_path / "image", "-noI")
    system = opened(data.replace(b"other", b"first"))
    with pytest.raises(Broken, match="twice"):
        list(system.entries(system.node(system.root)))


@pytest.mark.parametrize("name", [b"..", b"a/", b"a\0"])
def test_a_name_that_leads_elsewhere_is_broken(tmp_path, name):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "QQ").write_bytes(b"1")
    data = pack(root, tmp_path / "image", "-noI")
    system = opened(data.replace(b"QQ", name))
    with pytest.raises(Broken, match="name"):
        list(system.entries(system.node(system.root)))


def test_an_older_version_and_an_unknown_compression_are_unsupported(tree, tmp_path):
    data = pack(tree, tmp_path / "image")
    with pytest.raises(Unsupported, match="older"):
        opened(data[:28] + struct.pack("<H", 3) + data[30:])
    with pytest.raises(Unsupported, match="compression 9"):
        opened(data[:20] + struct.pack("<H", 9) + data[22:])
    assert not squashfs.probe(BytesSource(b"hsqs"))


def test_an_image_that_is_cut_off_is_broken(tree, tmp_path):
    data = pack(tree, tmp_path / "image")
    with pytest.raises(Broken, match="bytes"):
        opened(data[: len(data) // 2])


def test_a_file_of_the_image_is_read_by_a_descriptor_too(tree, tmp_path):
    pack(tree, tmp_path / "image")
    with (tmp_path / "image").open("rb") as file:
        system = squashfs.open(FileSource(file.fileno()), Budget())
        assert system.node(system.root).kind == "dir"


@pytest.mark.parametrize("options", [["-noI"], ["-comp", "lz4"], ["-comp", "xz"]])
def test_mutants_are_refused_with_the_three_exceptions_within_their_steps(tmp_path, options):
    root = tmp_path / "tree"
    make_tree(root, extents=10, folder_size=30)
    (root / "large").write_bytes(b"abc" * 100_000)
    (root / "zeros").write_bytes(b"")
    os.setxattr(root / "small", "user.note", b"a value")
    data = pack(root, tmp_path / "image", *options)
    assert mutants(data, squashfs.open, 100, steps=200_000) > 10
