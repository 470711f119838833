"""What a walk reads of btrfs at once is what is read item by item."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from btrfs_images import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_images import load

from douane_guest.budget import Budget
from douane_guest.errors import Broken, GuestError
from douane_guest.filesystems import btrfs
from douane_guest.filesystems.btrfs import nodes as nodes_module
from douane_guest.filesystems.btrfs.directory import compared_names, plain_names
from douane_guest.filesystems.btrfs.inode import INODE, parse_inode, parse_inodes
from douane_guest.filesystems.btrfs.keys import DIR_INDEX, DIR_ITEM, INODE_ITEM, ROOT_ITEM
from douane_guest.filesystems.btrfs.nodes import HEADER, ITEM, parse

Key = tuple[int, int, int]
FOLDER = 256


@dataclass
class ListedItems:
    """A tree that is a list, in leaves of two items."""

    listed: dict[Key, bytes]

    def items(self, first: Key, last: Key):
        return ((key, self.listed[key]) for key in sorted(self.listed) if first <= key <= last)

    def typed(self, first: Key, last: Key):
        listed = list(self.items(first, last))
        for start in range(0, len(listed) + 1, 2):
            part = listed[start : start + 2]
            yield [key[1] for key, _ in part], [data for _, data in part]


def entry(number: int, name: bytes, *, kind: int = INODE_ITEM, transaction: int = 7, flags: int = 1) -> bytes:
    key = number.to_bytes(8, "little") + bytes([kind]) + bytes(8) + transaction.to_bytes(8, "little")
    return key + bytes(2) + len(name).to_bytes(2, "little") + bytes([flags]) + name


def outcome(listing):
    """The names, or the names before the damage and its kind."""
    result = []
    try:
        for name in listing:
            result.append(name)
    except GuestError as error:
        return result, type(error)
    return result, None


NAMES = st.sampled_from([b"a", b"b", b"long" * 60, b".", b"..", b"a/b", b"\0", b"n" * 256, b"", b"x", b"y", b"z"])
CHANGES = ("target", "no index", "no hash", "subvolume", "encrypted", "two in an item", "cut", "transaction")


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, max_size=5), st.sets(st.tuples(st.sampled_from(CHANGES), st.integers(0, 4)), max_size=2))
def test_a_folder_that_is_looked_at_as_a_whole_has_the_same_names(texts, changes):
    items: dict[Key, bytes] = {}
    for place, text in enumerate(texts):
        what = {change for change, at in changes if at == place}
        kind = ROOT_ITEM if "subvolume" in what else INODE_ITEM
        flags = 0x81 if "encrypted" in what else 1
        listed = entry(300 + place, text, kind=kind, flags=flags, transaction=8 if "transaction" in what else 7)
        hashed = entry(300 + place + ("target" in what), text, kind=kind, flags=flags)
        if "no index" not in what:
            items[FOLDER, DIR_INDEX, 2 + place] = listed[:-1] if "cut" in what else listed
        if "no hash" not in what:
            key = (FOLDER, DIR_ITEM, 500 - (place - 1 if "two in an item" in what else place))
            items[key] = items.get(key, b"") + hashed
    tree = ListedItems(items)
    expected = outcome(compared_names(tree, FOLDER, Budget()))
    plain = plain_names(tree, FOLDER, Budget())
    assert plain is None or ([(*name, False) for name in plain], None) == expected


def test_a_plain_folder_is_looked_at_as_a_whole():
    items = {(FOLDER, DIR_ITEM, 900 - number): entry(300 + number, b"%d" % number) for number in range(9)}
    listed = {
        (FOLDER, DIR_INDEX, 2 + number): entry(300 + number, b"%d" % number, transaction=9) for number in range(9)
    }
    plain = [(b"%d" % number, 300 + number) for number in range(9)]
    assert plain_names(ListedItems(items | listed), FOLDER, Budget()) == plain


def test_a_plain_folder_is_listed_in_the_order_of_its_inodes():
    items = {(FOLDER, DIR_ITEM, 900 + number): entry(300 - number, b"%d" % number) for number in range(9)}
    items |= {(FOLDER, DIR_INDEX, 2 + number): entry(300 - number, b"%d" % number) for number in range(9)}
    assert plain_names(ListedItems(items), FOLDER, Budget()) == [(b"%d" % n, 300 - n) for n in range(8, -1, -1)]


def test_a_name_that_is_hashed_twice_in_place_of_another_is_found():
    doubled = {(FOLDER, DIR_ITEM, 900 + number): entry(300, b"a") for number in range(2)}
    listed = {(FOLDER, DIR_INDEX, 2 + number): entry(300 + number, b"ab"[number : number + 1]) for number in range(2)}
    tree = ListedItems(doubled | listed)
    assert plain_names(tree, FOLDER, Budget()) is None
    with pytest.raises(Broken, match="differ"):
        list(compared_names(tree, FOLDER, Budget()))


@pytest.mark.parametrize("name", ["subvolumes", "log-everything", "zstd"])
def test_inodes_that_are_read_at_once_are_those_that_are_read_one_by_one(name):
    system = btrfs.open(load(DATA / f"{name}.image"), Budget())
    refs, waiting = [], [next(system.subvolumes()).ref]
    while waiting:
        node = system.node(waiting.pop())
        listed = [listed.ref for listed in system.entries(node)]
        refs += listed
        waiting += [ref for ref in listed if system.node(ref).kind == "dir"]
    assert len(refs) > 5
    assert system.nodes(refs[::-1]) == [system.node(ref) for ref in refs[::-1]]
    *whole, missing = system.nodes([refs[0], (*refs[0][:1], 1 << 40)])
    assert whole == [system.node(refs[0])]
    assert isinstance(missing, Broken)


@pytest.mark.parametrize("name", ["subvolumes", "log-everything", "zstd"])
def test_the_children_of_a_folder_are_its_entries_with_their_inodes(name):
    system = btrfs.open(load(DATA / f"{name}.image"), Budget())
    waiting, at_once = [next(system.subvolumes()).ref], 0
    while waiting:
        folder = system.node(waiting.pop())
        listed = [(listed.name, system.node(listed.ref)) for listed in system.entries(folder)]
        waiting += [node.ref for _, node in listed if node.kind == "dir"]
        children = system.children(folder)
        if children is not None:
            assert [pair for names, nodes in children for pair in zip(names, nodes, strict=True)] == listed
            at_once += 1
    assert at_once


def test_an_inode_that_is_missing_is_the_only_child_that_is_broken(monkeypatch):
    system = btrfs.open(load(DATA / "zstd.image"), Budget())
    folder = system.node(system.root)
    monkeypatch.setattr(
        type(system), "_plain_names", lambda self, node: [(b"is there", node.ref[1]), (b"missing", 1 << 40)]
    )
    [(names, nodes)] = system.children(folder)
    assert names == [b"is there", b"missing"]
    assert nodes[0] == folder and isinstance(nodes[1], Broken)


WORDS = st.sampled_from([0, 1, 7, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
MODES = st.sampled_from([0o100644, 0o040755, 0o120777, 0o020600, 0o060660, 0o010600, 0o140755, 0, 0o170000, 0o1100644])


@given(
    st.lists(st.tuples(WORDS, MODES, st.sampled_from([0, 5 << 20 | 1]), WORDS, st.sampled_from([0, 10**9 - 1, 10**9]))),
    st.integers(0, 9),
)
def test_inodes_that_are_parsed_at_once_are_those_that_are_parsed_one_by_one(inodes, missing):
    items: list[bytes | None] = [
        INODE.pack(
            *(1, 1, size, 0, 0, 1, 7, 8, mode, device, 0, 0, bytes(32), bytes(12), bytes(12)), seconds, ns, bytes(12)
        )
        for size, mode, device, seconds, ns in inodes
    ]
    if missing < len(items):
        items[missing] = None

    def one_by_one():
        return [parse_inode((5, number), item or b"") for number, item in enumerate(items)]

    try:
        expected = one_by_one()
    except Broken as error:
        with pytest.raises(Broken) as caught:
            parse_inodes(5, range(len(items)), items)
        assert str(caught.value) == str(error)
    else:
        assert parse_inodes(5, range(len(items)), items) == expected


def leaf_of(items: list[tuple[Key, bytes]], swap: bool) -> bytes:
    heads, data, end = b"", b"", 4096 - HEADER.size
    for key, item in items:
        end -= len(item)
        heads += ITEM.pack(*key, end, len(item))
        data = item + data
    if swap and len(items) > 1:
        heads = heads[ITEM.size : 2 * ITEM.size] + heads[: ITEM.size] + heads[2 * ITEM.size :]
    return (bytes(HEADER.size) + heads).ljust(4096 - len(data), b"\0") + data


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.tuples(*[st.integers(0, 1)] * 3), st.binary(max_size=2)), max_size=5),
    st.booleans(),
)
def test_a_leaf_whose_keys_do_not_ascend_is_refused(items, swap):
    data = leaf_of(items, swap)
    keys = [ITEM.unpack_from(data, HEADER.size + number * ITEM.size)[:3] for number in range(len(items))]
    gaps = swap and len(items) > 1 and any(len(item) for _, item in items[:2])
    if gaps or any(first >= second for first, second in pairwise(keys)):
        with pytest.raises(Broken):
            parse(data, len(items), 0, 4096)
    else:
        assert [item[:3] for item in parse(data, len(items), 0, 4096).items] == keys


def test_the_keys_of_an_inner_node_ascend():
    pointers = b"".join(nodes_module._POINTER.pack(number, 1, 0, 4096, 1) for number in (5, 4))
    with pytest.raises(Broken, match="ascend"):
        parse((bytes(HEADER.size) + pointers).ljust(4096, b"\0"), 2, 1, 4096)
