"""btrfs shows what the kernel shows.

The images in data/btrfs were made and read by the kernel (support/make_btrfs_images.py); those of mkfs are made here.
"""

import contextlib
import os
import random
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from guest_trees import digest_of, listing, make_tree, truth, without
from sparse_images import BLOCK, SparseSource, load, read_truth

from douane_guest import lzo
from douane_guest.budget import Budget
from douane_guest.checksums import crc32c
from douane_guest.errors import Broken, GuestError, TooMuch, Unsupported
from douane_guest.filesystems import btrfs
from douane_guest.filesystems.btrfs import compression
from douane_guest.filesystems.btrfs.directory import Name, names
from douane_guest.source import BytesSource, FileSource

DATA = Path(__file__).parent / "data" / "btrfs"
SUPERBLOCK = 64 << 10


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


def open_image(name):
    return btrfs.open(load(DATA / f"{name}.image"), Budget())


def at(system, path, root=None):
    node = system.node(root or system.root)
    for name in path.split(b"/"):
        node = system.node({entry.name: entry.ref for entry in system.entries(node)}[name])
    return node


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


def node_blocks(source):
    """The first blocks of all nodes: they begin with a checksum and the identity of the file system."""
    identity = source.blocks[SUPERBLOCK // BLOCK][32:48]
    return [
        number
        for number, block in sorted(source.blocks.items())
        if block[32:48] == identity and block[64:72] != b"_BHRfS_M"
    ]


def with_superblock(source, offset, data):
    """The image with a change in its superblock, and the checksum that belongs to it."""
    number = SUPERBLOCK // BLOCK
    block = bytearray(source.blocks[number])
    block[offset : offset + len(data)] = data
    block[:4] = crc32c(bytes(block[32:])).to_bytes(4, "little")
    return SparseSource(source.size, {**source.blocks, number: bytes(block)})


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


# --- hostile images -------------------------------------------------------------------------------------------------


def bounded():
    return Budget(steps=300_000, entries=20_000, delivered=64 << 20)


def walk_all(source, budget):
    system = btrfs.open(source, budget)
    waiting, visited = [system.root], set()
    while waiting:
        ref = waiting.pop()
        if ref in visited:
            continue
        visited.add(ref)
        node = system.node(ref)
        system.xattrs(node)
        system.place(node)
        if node.kind == "dir":
            waiting += [entry.ref for entry in system.entries(node)]
        elif node.kind == "file":
            for first, second in pairwise(system.chunks(node)):
                assert first[0] + len(first[1]) <= second[0]
        elif node.kind == "link":
            system.target(node)
    list(system.subvolumes())


def nodes_that_are_read(source):
    heads = set()

    class Recorder:
        size = source.size

        def pread(self, offset, count):
            if count == 4 * BLOCK and offset // BLOCK in nodes:
                heads.add(offset // BLOCK)
            return source.pread(offset, count)

    nodes = set(node_blocks(source))
    walk_all(Recorder(), bounded())
    return sorted(heads)


def mutant(source, heads, chance):
    """A node with other bytes where it has bytes, and the checksum that belongs to it."""
    head = chance.choice(heads)
    node = bytearray(b"".join(source.blocks.get(head + number, bytes(BLOCK)) for number in range(4)))
    used = [index for index in range(80, len(node)) if node[index]] or [100]
    for _ in range(chance.randint(1, 16)):
        index = min(chance.choice(used) + chance.randint(0, 2), len(node) - 1)
        node[index] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, node[index] ^ (1 << chance.randrange(8))])
    node[:4] = crc32c(bytes(node[32:])).to_bytes(4, "little")
    blocks = dict(source.blocks)
    for number in range(4):
        blocks[head + number] = bytes(node[number * BLOCK : (number + 1) * BLOCK])
    return SparseSource(source.size, blocks)


@pytest.mark.parametrize("name", ["zstd", "lzo", "subvolumes"])
def test_mutants_raise_nothing_but_the_errors_of_guests(name):
    chance = random.Random(17)
    source = load(DATA / f"{name}.image")
    heads = nodes_that_are_read(source)
    refused = 0
    for _ in range(120):
        try:
            walk_all(mutant(source, heads, chance), bounded())
        except GuestError:
            refused += 1
    assert refused > 20, "the mutants reach what is read"


class FakeItems:
    """A tree that is a list."""

    def __init__(self, items):
        self._items = sorted(items)

    def find(self, key):
        return dict(self._items).get(key)

    def items(self, first, last):
        return ((key, data) for key, data in self._items if first <= key <= last)

    def floor(self, key):
        return max((item[0] for item in self._items if item[0] <= key), default=(0, 0, 0))


def folder_item(number, name):
    return number.to_bytes(8, "little") + b"\1" + bytes(18) + len(name).to_bytes(2, "little") + b"\1" + name


def test_a_name_that_opens_and_is_not_listed_is_refused():
    listed = {(256, 96, 2): folder_item(300, b"listed"), (256, 84, 77): folder_item(300, b"listed")}
    assert list(names(FakeItems(listed.items()), 256, Budget())) == [Name(b"listed", 300, False)]
    hidden = {**listed, (256, 84, 78): folder_item(301, b"hidden")}
    with pytest.raises(Broken, match="not listed"):
        list(names(FakeItems(hidden.items()), 256, Budget()))


def test_a_name_that_is_listed_and_opens_another_file_is_refused():
    items = {(256, 96, 2): folder_item(300, b"name"), (256, 84, 77): folder_item(301, b"name")}
    with pytest.raises(Broken, match="differ"):
        list(names(FakeItems(items.items()), 256, Budget()))


def test_a_large_folder_is_compared_in_bounded_memory(monkeypatch):
    from douane_guest.filesystems.btrfs import directory

    monkeypatch.setattr(directory, "_IN_MEMORY", 3)
    every = [b"name %d" % number for number in range(20)]
    items = {(256, 84, directory.name_hash(name)): folder_item(300 + i, name) for i, name in enumerate(every)}
    items |= {(256, 96, 2 + i): folder_item(300 + i, name) for i, name in enumerate(every)}
    assert {entry.name for entry in names(FakeItems(items.items()), 256, Budget())} == set(every)
    del items[(256, 96, 9)]
    with pytest.raises(Broken):
        list(names(FakeItems(items.items()), 256, Budget()))


def test_an_extent_that_is_shared_a_million_times_ends_at_the_bound():
    from douane_guest.filesystems.btrfs.extents import _HEAD, _TAIL, FileReader

    class Zeros:
        def read(self, address, size):
            return bytes(size)

    class Shared(FakeItems):
        """A million items of the same 128 KiB extent, without a list of them."""

        def items(self, first, last):
            item = _HEAD.pack(1, 131072, 0, 0, 0, 1) + _TAIL.pack(1 << 20, 131072, 0, 131072)
            return (((257, 108, number * 131072), item) for number in range(1_000_000))

    reader = FileReader(Zeros(), 4096, Budget(delivered=4 << 20))
    with pytest.raises(TooMuch):
        for _ in reader.chunks(Shared([]), 257, 1 << 60, 0):
            pass


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_compressed_zeros_are_never_more_than_their_extent_says(kind):
    import zlib

    from backports import zstd

    segment = lzo_zeros(4096)
    bombs = {
        1: zlib.compress(bytes(64 << 20)),
        2: (8 + len(segment)).to_bytes(4, "little") + len(segment).to_bytes(4, "little") + segment,
        3: zstd.compress(bytes(64 << 20), level=1),
    }
    try:
        assert compression.decompress(kind, bombs[kind], 4096, 4096) == bytes(4096)
    except Broken as error:
        assert kind == 3, error  # its window is larger than the kernel allows


def lzo_zeros(count):
    """A zero, and a match of count - 1 bytes of it."""
    length = count - 1 - 2 - 31
    return b"\x12\0" + b"\x20" + bytes(length // 255) + bytes([length % 255]) + b"\0\0" + b"\x11\0\0"


def test_lzo_is_bounded_by_its_sector():
    assert lzo.decompress(lzo_zeros(4096), 4096) == bytes(4096)
    with pytest.raises(Broken):
        lzo.decompress(lzo_zeros(4097), 4096)


def test_lzo_raises_broken_for_any_bytes():
    chance = random.Random(17)
    good = lzo_zeros(4096)
    for _ in range(3000):
        data = bytearray(chance.choice([good, chance.randbytes(chance.randint(1, 60))]))
        for _ in range(chance.randint(0, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(Broken):
            assert len(lzo.decompress(bytes(data), 4096)) <= 4096


def test_a_file_of_an_exabyte_costs_nothing():
    system = open_image("holes")
    node = at(system, b"tiny")._replace(size=1 << 60)
    assert sum(len(data) for _, data in system.chunks(node)) == 4


def test_holes_are_left_out():
    system = open_image("zlib")
    node = at(system, b"holes")
    assert sum(len(data) for _, data in system.chunks(node)) < node.size // 4
    assert digest_of(system, node) == read_truth(DATA / "zlib.truth")[b"holes"].sha256
