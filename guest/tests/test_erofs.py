"""erofs: images of mkfs.erofs, compared with the folder that was packed."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from pathlib import Path

import lz4.block
import pytest
from guest_mutants import mutants
from guest_trees import Facts, listing, make_tree, truth, without
from make_erofs_images import IMAGES, erofs_tree, stored_erofs

from douane_guest import compression, lz4block
from douane_guest.budget import Budget
from douane_guest.errors import Broken, TooMuch, Unsupported
from douane_guest.filesystems import erofs
from douane_guest.headers.crc32c import crc32c
from douane_guest.source import BytesSource

OWNERS = ("uid", "gid")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("erofs") / "tree"
    make_tree(root, extents=50, folder_size=300)
    (root / ("x" * 255)).unlink()  # mkfs.erofs 1.5 refuses a path that long
    os.truncate(root / "hole", 1 << 20)
    os.truncate(root / "hole at end", 1 << 20)
    chance = random.Random(3)
    (root / "mixed").write_bytes(
        b"".join(chance.randbytes(chance.randrange(3000)) + b"ab" * chance.randrange(3000) for _ in range(100))
    )
    os.setxattr(root / "small", "user.note", b"a value")
    for name in ("page", "large", "one", "folder"):
        os.setxattr(root / name, "user.long", b"v" * 300)
    if os.geteuid() == 0:
        os.setxattr(root / "page", "security.note", b"1")
    return root


@pytest.fixture(scope="module")
def facts(tree) -> dict[bytes, Facts]:
    return truth(tree)


def pack(tree: Path, image: Path, *options: str) -> bytes:
    subprocess.run(["mkfs.erofs", *options, image, tree], check=True, capture_output=True)
    return image.read_bytes()


def opened(data: bytes, **bounds: int) -> erofs.Erofs:
    assert erofs.probe(BytesSource(data))
    return erofs.open(BytesSource(data), Budget(**bounds))


def top(system: erofs.Erofs) -> dict[bytes, object]:
    return {entry.name: system.node(entry.ref) for entry in system.entries(system.node(system.root))}


FEATURES = {
    "plain": [],
    "plain without tails": ["-Enoinline_data"],
    "chunks of 4 KiB": ["--chunksize=4096"],
    "chunks of 64 KiB": ["--chunksize=65536"],
    "chunks with indexes": ["--chunksize=4096", "-Eforce-chunk-indexes"],
    "lz4": ["-zlz4"],
    "lz4hc": ["-zlz4hc,9"],
    "lz4 with full indexes": ["-zlz4", "-Elegacy-compress"],
    "lz4 in big pieces": ["-zlz4", "-C65536"],
    "lz4 in big pieces with small extents": ["-zlz4hc", "-C1048576", "--max-extent-bytes=65536"],
    "lz4 with tails behind inodes": ["-zlz4", "-Eztailpacking"],
}


@pytest.mark.parametrize("feature", FEATURES)
def test_every_entry_and_digest_is_that_of_the_packed_folder(tree, facts, tmp_path, feature):
    assert listing(opened(pack(tree, tmp_path / "image", *FEATURES[feature]))) == facts


@pytest.mark.parametrize("name", [name for name in IMAGES if name != "48bit"])
def test_stored_images_of_newer_programs_have_every_entry_and_digest(tmp_path, name):
    erofs_tree(tmp_path / "tree")
    system = opened(stored_erofs(name))
    assert without(listing(system), *OWNERS) == without(truth(tmp_path / "tree"), *OWNERS)
    nodes = top(system)
    assert system.xattrs(nodes[b"text"]) == {b"user.a.long.prefix.name": b"a value"}
    assert system.xattrs(nodes[b"zeros"]) == {b"user.other": b"another value"}


def test_the_layout_with_48_bits_is_unsupported():
    with pytest.raises(Unsupported, match="0x80"):
        opened(stored_erofs("48bit"))


def test_without_the_library_lz4_is_read_too(monkeypatch, tree, facts, tmp_path):
    monkeypatch.setattr(compression, "library", lambda *_: None)
    assert listing(opened(pack(tree, tmp_path / "image", "-zlz4"))) == facts


@pytest.mark.parametrize("tolerance", ["-x1", "-x100"])
def test_extended_attributes_are_read_behind_inodes_and_where_they_are_shared(tree, tmp_path, tolerance):
    system = opened(pack(tree, tmp_path / "image", tolerance))
    for name, node in top(system).items():
        path = os.path.join(os.fsencode(tree), name)
        listed = os.listxattr(path, follow_symlinks=False)
        assert system.xattrs(node) == {
            os.fsencode(key): os.getxattr(path, key, follow_symlinks=False) for key in listed
        }


def test_uuid_hard_links_and_devices_are_those_of_the_folder(tree, tmp_path):
    system = opened(pack(tree, tmp_path / "image", "-U2bb8a4d7-29a6-4d17-8f36-3d5ee3a1a3a0"))
    nodes = top(system)
    assert system.uuid == "2bb8a4d7-29a6-4d17-8f36-3d5ee3a1a3a0"
    assert nodes[b"large"].ref == nodes[b"hard link"].ref
    assert nodes[b"large"].links == 2
    if os.geteuid() == 0:
        assert nodes[b"null"].device == (1, 3)
        assert nodes[b"block"].device == (259, 300)


@pytest.mark.parametrize("options", [[], ["-zlz4"], ["-zlz4", "-C65536"], ["--chunksize=4096"]])
def test_what_is_read_from_the_middle_on_is_the_end_of_the_file(tree, tmp_path, options):
    system = opened(pack(tree, tmp_path / "image", *options))
    data = (tree / "mixed").read_bytes()
    pieces = list(system.chunks(top(system)[b"mixed"], 100_000))
    assert pieces[0][0] <= 100_000 < pieces[0][0] + len(pieces[0][1])
    assert b"".join(piece for _, piece in pieces) == data[pieces[0][0] :]


def test_another_device_is_told_and_its_files_are_unsupported(tree, tmp_path):
    data = pack(tree, tmp_path / "image", "--chunksize=4096", f"--blobdev={tmp_path / 'blob'}")
    system = opened(data)
    assert [part.code for part in system.unread] == ["guest-unknown"]
    with pytest.raises(Unsupported, match="device"):
        list(system.chunks(top(system)[b"large"]))


def with_checksum(data: bytes) -> bytes:
    """The image with the checksum of its changed superblock."""
    block = data[1024:1028] + bytes(4) + data[1032:4096]
    return data[:1028] + struct.pack("<I", ~crc32c(block) & 0xFFFF_FFFF) + data[1032:]


def test_a_superblock_without_its_checksum_is_broken(tree, tmp_path):
    data = pack(tree, tmp_path / "image")
    changed = data[:1100] + bytes([data[1100] ^ 1]) + data[1101:]
    with pytest.raises(Broken, match="checksum"):
        opened(changed)
    assert with_checksum(data) == data


def test_compressed_zeros_are_counted_and_cost_a_piece_at_a_time(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "bomb").write_bytes(bytes(32 << 20))
    system = opened(pack(root, tmp_path / "image", "-zlz4hc", "-C65536"), delivered=12 << 20)
    [entry] = system.entries(system.node(system.root))
    with pytest.raises(TooMuch):
        for _, piece in system.chunks(system.node(entry.ref)):
            assert len(piece) <= 1 << 20


@pytest.mark.parametrize("options", [[], ["-zlz4"], ["--chunksize=4096"]])
def test_a_file_of_2_to_the_60_bytes_is_broken_where_its_structure_ends(tmp_path, options):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "sized").write_bytes(b"abc" * 123_457)
    data = pack(root, tmp_path / "image", *options, "-Eforce-inode-extended")
    size = data.index((3 * 123_457).to_bytes(8, "little"))
    system = opened(with_checksum(data[:size] + (1 << 60).to_bytes(8, "little") + data[size + 8 :]), steps=1_000_000)
    node = top(system)[b"sized"]
    assert node.size == 1 << 60
    with pytest.raises((Broken, TooMuch)):
        for _ in system.chunks(node):
            pass


@pytest.mark.parametrize("name", [b"first", b"a/b/c", b"a\0b/c", b"aaaaa"])
def test_names_that_are_twice_unsorted_or_lead_elsewhere_are_broken(tmp_path, name):
    root = tmp_path / "tree"
    root.mkdir()
    (root / "first").write_bytes(b"1")
    (root / "other").write_bytes(b"2")
    with pytest.raises(Broken):
        listing(opened(pack(root, tmp_path / "image").replace(b"firstother", b"first" + name)))


def test_lz4_blocks_are_decompressed_in_part_and_are_bounded():
    data = random.Random(1).randbytes(100) + b"ab" * 5000 + bytes(3000)
    block = lz4.block.compress(data, store_size=False)
    assert lz4block.decompress(block, len(data)) == data
    for count in (1, 100, 101, 5000, len(data) - 1):
        assert lz4block.decompress(block, count, partly=True) == data[:count]
        with pytest.raises(Broken):
            lz4block.decompress(block, count)


@pytest.mark.parametrize("name", ["plain", "lz4-fragments", "zstd-packed", "deflate-tails", "two-algorithms"])
def test_mutants_are_refused_with_the_three_exceptions_within_their_steps(tmp_path, name):
    if name == "plain":
        erofs_tree(tmp_path / "tree")
        data = pack(tmp_path / "tree", tmp_path / "image")
    else:
        data = stored_erofs(name)
    unchecked = data[:1032] + struct.pack("<I", struct.unpack_from("<I", data, 1032)[0] & ~1) + data[1036:]
    assert mutants(unchecked, erofs.open, 60, steps=200_000) > 0
