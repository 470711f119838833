"""btrfs shows what the kernel shows.

The images in data/btrfs were made and read by the kernel (support/make_btrfs_images.py); those of mkfs are made here.
"""

import os
import subprocess

import pytest
from btrfs_images import DATA, at, node_blocks, open_image, with_superblock
from guest_trees import digest_of, listing, make_tree, truth, without
from sparse_images import BLOCK, load, read_truth

from douane_guest.budget import Budget
from douane_guest.errors import Broken, Unsupported
from douane_guest.filesystems import btrfs
from douane_guest.source import BytesSource, FileSource


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    top = tmp_path_factory.mktemp("tree") / "top"
    make_tree(top)
    return top


def seconds_only(facts):
    """mkfs stores whole seconds, and not the time of the top folder."""
    return {
        path: fact._replace(mtime_ns=fact.mtime_ns // 1_000_000_000 if path else None) for path, fact in facts.items()
    }


@pytest.mark.parametrize(
    "options",
    [
        "",
        "-m single",
        "-m dup -d dup",
        "-M",
        "--csum xxhash",
        "--csum sha256",
        "--csum blake2",
        "-n 4096",
        "-n 65536",
        "-O ^no-holes",
        "-O ^skinny-metadata,^extref",
        "-R quota,^free-space-tree",
    ],
)
def test_every_file_of_an_image_that_mkfs_filled(tree, tmp_path, options):
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(300 << 20)
    command = ["mkfs.btrfs", "-q", "-L", "a label", "--rootdir", str(tree), *options.split(), str(image)]
    subprocess.run(command, check=True)
    number = os.open(image, os.O_RDONLY)
    try:
        system = btrfs.open(FileSource(number), Budget())
        assert btrfs.probe(FileSource(number))
        assert (system.label, system.clean, system.unread) == ("a label", True, [])
        identity = subprocess.run(["blkid", "-o", "value", "-s", "UUID", image], check=True, capture_output=True)
        assert system.uuid == identity.stdout.decode().strip()
        assert seconds_only(listing(system)) == seconds_only(truth(tree))
    finally:
        os.close(number)
        image.unlink()


@pytest.mark.parametrize("name", ["zlib", "lzo", "zstd", "holes", "mixed"])
def test_every_file_of_an_image_that_the_kernel_filled(name):
    assert listing(btrfs.open(load(DATA / f"{name}.image"), Budget())) == read_truth(DATA / f"{name}.truth")


def test_attributes_and_devices_are_those_that_were_set():
    system = open_image("zstd")
    attributes = system.xattrs(at(system, b"tiny"))
    assert len(attributes.pop(b"user.large")) == 3000
    assert attributes == {
        b"user.one": b"1",
        b"user.empty": b"",
        b"security.selinux": b"system_u:object_r:etc_t:s0\0",
    }
    assert at(system, b"device").device == (259, 300)
    assert at(system, b"tiny").links == 71


def test_files_that_share_bytes_have_the_same_place():
    system = open_image("holes")
    assert system.place(at(system, b"text")) == system.place(at(system, b"clone")) > 0


@pytest.mark.parametrize("name", ["zlib", "holes"])
@pytest.mark.parametrize("start", [1, 4096, 131_072, 131_073, 200_000, 10 << 20])
def test_reading_from_an_offset_gives_the_bytes_from_there(name, start):
    system = open_image(name)
    for path in (b"text", b"overwritten", b"parts", b"tiny", b"large", b"same", b"cut"):
        entries = {entry.name for entry in system.entries(system.node(system.root))}
        if path not in entries:
            continue
        node = at(system, path)
        expected = b"".join(bytes_from(system.chunks(node), node.size, start))
        assert b"".join(bytes_from(system.chunks(node, start), node.size, start)) == expected


def bytes_from(chunks, size, start):
    position = start
    for offset, data in chunks:
        if offset + len(data) <= position:
            continue
        yield bytes(max(offset - position, 0))
        yield data[max(position - offset, 0) :]
        position = offset + len(data)
    yield bytes(max(size - position, 0))


def test_the_default_subvolume_is_the_root_and_others_are_folders():
    system = open_image("subvolumes")
    empty = b"snapshot/inner"  # the kernel gives the time of the mount to the place of a subvolume
    facts = {path: fact._replace(mtime_ns=0) if path == empty else fact for path, fact in listing(system).items()}
    expected = read_truth(DATA / "subvolumes.truth")
    expected[empty] = expected[empty]._replace(mtime_ns=0)
    assert facts == expected


def test_subvolumes_outside_of_the_default_one_are_listed_and_can_be_read():
    system = open_image("subvolumes")
    volumes = list(system.subvolumes())
    assert [(volume.path, volume.read_only) for volume in volumes] == [
        (b"", False),
        (b"@", False),
        (b"@/inner", False),
        (b"folder/@home", False),
        (b"@/snapshot", True),
    ]
    assert volumes[4].parent_uuid == volumes[1].uuid != bytes(16)
    system.root = volumes[0].ref
    empty = b"@/snapshot/inner"
    facts = without(listing(system), "mtime_ns", drop=(empty,))
    assert facts == without(read_truth(DATA / "subvolumes-top.truth"), "mtime_ns", drop=(empty,))


def test_damaged_metadata_is_read_from_its_second_copy():
    source = load(DATA / "zstd.image")  # metadata is twice in it
    expected = listing(btrfs.open(source, Budget()))
    addresses: dict[bytes, int] = {}
    damaged = 0
    for number in node_blocks(source):
        block = source.blocks[number]
        if addresses.setdefault(block[:80], number) != number:
            first = addresses[block[:80]]
            source.blocks[first] = source.blocks[first][:4000] + b"damaged!" + source.blocks[first][4008:]
            damaged += 1
    assert damaged > 3
    assert listing(btrfs.open(source, Budget())) == expected


def test_copies_of_data_that_differ_are_refused():
    source = load(DATA / "holes.image")  # data is twice in it
    system = btrfs.open(source, Budget())
    node = at(system, b"noise")
    number = system.place(node) // BLOCK
    source.blocks[number] = b"other" + source.blocks[number][5:]
    with pytest.raises(Broken, match="copies of the data"):
        list(system.chunks(node))


@pytest.mark.parametrize(
    ("offset", "data", "error", "code"),
    [
        (0x88, (2).to_bytes(8, "little"), Unsupported, "guest-unknown"),
        (0xBD, b"\x23", Unsupported, "guest-unknown"),  # the second extent tree
        (0xBD, b"\x43", Unsupported, "guest-unknown"),  # RAID stripes
        (0xBD, b"\x83", Unsupported, "guest-encrypted"),
        (0xC0, b"\x01", Unsupported, "guest-unknown"),
        (0xC4, b"\x09", Unsupported, "guest-unknown"),
        (0x38 + 4, b"\x08", Unsupported, "guest-unclean"),
        (0x94, b"\x01\x02\x03\x04", Broken, "guest-broken"),
        (0xA0, b"\xff\xff", Broken, "guest-broken"),
        (0xC6, b"\xff", Broken, "guest-broken"),
        (0xD1, b"\xff" * 8, Broken, "guest-broken"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(offset, data, error, code):
    source = with_superblock(load(DATA / "subvolumes.image"), offset, data)
    with pytest.raises(error) as caught:
        btrfs.open(source, Budget())
    assert caught.value.code == code


def test_features_that_only_writers_need_are_no_obstacle():
    """Such as the tree of block groups (bit 3), which mkfs.btrfs here cannot make: nothing of it is read."""
    source = load(DATA / "zstd.image")
    changed = with_superblock(source, 0xB4, b"\x0f\0\0\0\0\0\0\xff")
    assert listing(btrfs.open(changed, Budget())) == read_truth(DATA / "zstd.truth")


def test_a_later_copy_of_the_superblock_contradicts_the_first_one():
    source = load(DATA / "subvolumes.image")
    number = (64 << 20) // BLOCK
    block = bytearray(source.blocks[number])
    block[0x48:0x50] = (1 << 40).to_bytes(8, "little")
    source.blocks[number] = bytes(block)
    with pytest.raises(Broken, match="a copy of the superblock"):
        btrfs.open(source, Budget())


def test_other_bytes_are_not_probed_as_btrfs():
    assert not btrfs.probe(BytesSource(bytes(1 << 17)))
    assert not btrfs.probe(BytesSource(b"_BHRfS_M"))


def test_a_file_of_an_exabyte_costs_nothing():
    system = open_image("holes")
    node = at(system, b"tiny")._replace(size=1 << 60)
    assert sum(len(data) for _, data in system.chunks(node)) == 4


def test_holes_are_left_out():
    system = open_image("zlib")
    node = at(system, b"holes")
    assert sum(len(data) for _, data in system.chunks(node)) < node.size // 4
    assert digest_of(system, node) == read_truth(DATA / "zlib.truth")[b"holes"].sha256
