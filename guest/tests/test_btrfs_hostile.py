"""btrfs that was made to deceive or to exhaust its reader."""

import contextlib
import random
from itertools import pairwise

import pytest
from btrfs_images import DATA, node_blocks
from sparse_images import BLOCK, SparseSource, load

from douane_guest import lzo
from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError, TooMuch
from douane_guest.filesystems import btrfs
from douane_guest.filesystems.btrfs import compression
from douane_guest.filesystems.btrfs.directory import compared_names
from douane_guest.headers.crc32c import crc32c


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


@pytest.mark.parametrize("name", ["zstd", "lzo", "subvolumes", "log-contents", "log-everything"])
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

    def typed(self, first, last):
        listed = list(self.items(first, last))
        yield [key[1] for key, _ in listed], [data for _, data in listed]

    def floor(self, key):
        return max((item[0] for item in self._items if item[0] <= key), default=(0, 0, 0))


def folder_item(number, name):
    return number.to_bytes(8, "little") + b"\1" + bytes(18) + len(name).to_bytes(2, "little") + b"\1" + name


def test_a_name_that_opens_and_is_not_listed_is_refused():
    listed = {(256, 96, 2): folder_item(300, b"listed"), (256, 84, 77): folder_item(300, b"listed")}
    assert list(compared_names(FakeItems(listed.items()), 256, Budget())) == [(b"listed", 300, False)]
    hidden = {**listed, (256, 84, 78): folder_item(301, b"hidden")}
    with pytest.raises(Broken, match="not listed"):
        list(compared_names(FakeItems(hidden.items()), 256, Budget()))


def test_a_name_that_is_listed_and_opens_another_file_is_refused():
    items = {(256, 96, 2): folder_item(300, b"name"), (256, 84, 77): folder_item(301, b"name")}
    with pytest.raises(Broken, match="differ"):
        list(compared_names(FakeItems(items.items()), 256, Budget()))


def test_a_large_folder_is_compared_in_bounded_memory(monkeypatch):
    from douane_guest.filesystems.btrfs import directory

    monkeypatch.setattr(directory, "_IN_MEMORY", 3)
    every = [b"name %d" % number for number in range(20)]
    items = {(256, 84, directory.name_hash(name)): folder_item(300 + i, name) for i, name in enumerate(every)}
    items |= {(256, 96, 2 + i): folder_item(300 + i, name) for i, name in enumerate(every)}
    assert {entry[0] for entry in compared_names(FakeItems(items.items()), 256, Budget())} == set(every)
    del items[(256, 96, 9)]
    with pytest.raises(Broken):
        list(compared_names(FakeItems(items.items()), 256, Budget()))


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
