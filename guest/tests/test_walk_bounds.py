"""A walk keeps little in memory, whatever an image has: names, folders, and folders of folders by the million."""

from __future__ import annotations

import subprocess
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_filesystem import MemorySystem, Object, folder, text

from douane_guest import seen as seen_module
from douane_guest.budget import Budget
from douane_guest.errors import Broken
from douane_guest.filesystems.base import FILE, FOLDER, Entry, Node
from douane_guest.guest import open_guest
from douane_guest.names import are_sound, check_name
from douane_guest.seen import Seen
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import MAX_WAITING, Volume

MIB = 1 << 20


class Wide(MemorySystem):
    """The root has `count` objects with long names, which nobody keeps."""

    def __init__(self, kind: str, count: int) -> None:
        super().__init__({})
        self.kind, self.count = kind, count
        self.root = 0

    def node(self, ref: int) -> Node:
        return Node(ref, FOLDER if not ref else self.kind, 0o644, 0, 0, 0, 0, detail=bytes(256))

    def entries(self, node: Node):
        for number in range(1, self.count + 1 if not node.ref else 0):
            yield Entry(b"%0200d" % number, number)


def volume_of(system: MemorySystem) -> tuple[Volume, UnreadParts]:
    unread = UnreadParts()
    return Volume("p1", BytesSource(b""), system, Budget(), unread), unread


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_a_folder_with_many_objects_takes_little_memory(kind: str) -> None:
    volume, unread = volume_of(Wide(kind, 150_000))
    tracemalloc.start()
    count = sum(1 for _ in volume.walk())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, len(unread)) == (150_001, 0)
    assert peak < 16 * MIB


def test_folders_are_listed_after_the_folder_that_has_them() -> None:
    inner = {f"{number:04}": folder({"x": text("")}) for number in range(MAX_WAITING + 3)}
    volume, _ = volume_of(MemorySystem({"a": folder(inner), "b": text("")}))
    paths = [place.path for place in volume.walk()]
    assert len(paths) == len(set(paths)) == 3 + 2 * (MAX_WAITING + 3)
    assert paths[:4] == [b"", b"a", b"b", b"a/0000"]
    assert all(paths.index(path.rpartition(b"/")[0]) < paths.index(path) for path in paths[1:])


def test_a_folder_that_is_twice_is_told_wherever_it_is() -> None:
    shared = folder({"x": text("")})
    many = {f"{number:04}": folder({}) for number in range(MAX_WAITING + 3)}
    volume, unread = volume_of(MemorySystem({"a": folder({**many, "s": shared}), "b": folder({"s": shared})}))
    assert sum(place.path.endswith(b"/x") for place in volume.walk()) == 1
    assert [part.where for part in unread] == ["p1:/b/s"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 60)))
def test_what_was_seen_is_known_again(numbers: list[int]) -> None:
    limits = seen_module.MAX_RECENT, seen_module.MAX_ARRAYS
    seen_module.MAX_RECENT, seen_module.MAX_ARRAYS = 3, 2
    try:
        objects, added = Seen(), set[int]()
        for number in numbers:
            assert objects.add(number) == (number not in added)
            added.add(number)
    finally:
        seen_module.MAX_RECENT, seen_module.MAX_ARRAYS = limits


def test_a_loop_of_folders_ends() -> None:
    first, second = folder({}), folder({})
    first.children.append((b"second", second))
    second.children.append((b"first", first))
    top = Object(FOLDER, children={"first": first})
    volume, unread = volume_of(MemorySystem({}))
    volume.system.root = top
    assert [place.path for place in volume.walk()] == [b"", b"first", b"first/second"]
    assert [part.where for part in unread] == ["p1:/first/second/first"]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(0, 40), max_size=4)))
def test_several_things_are_added_at_once_or_not_at_all(groups: list[list[int]]) -> None:
    limits = seen_module.MAX_RECENT, seen_module.MAX_ARRAYS
    seen_module.MAX_RECENT, seen_module.MAX_ARRAYS = 3, 2
    try:
        objects, added = Seen(), set[int]()
        for group in groups:
            is_new = len(set(group)) == len(group) and added.isdisjoint(group)
            assert objects.add_all(group) == is_new
            added |= set(group) if is_new else set()
    finally:
        seen_module.MAX_RECENT, seen_module.MAX_ARRAYS = limits


def is_refused(name: bytes) -> bool:
    try:
        check_name(name)
    except Broken:
        return True
    return False


@given(st.lists(st.sampled_from([b"", b".", b"..", b"...", b"a", b"/", b"a/b", b"\0", b"a\0", b" "])))
def test_names_are_sound_together_if_each_is(names: list[bytes]) -> None:
    assert are_sound(names) == (not any(map(is_refused, names)))


class Damaged(Wide):
    """Some objects cannot be read, one name is there twice, and the list ends with damage."""

    def node(self, ref: int) -> Node:
        if ref and ref % 10 == 0:
            raise Broken(f"object {ref}")
        return super().node(ref)

    def entries(self, node: Node):
        yield from super().entries(node)
        yield Entry(b"%0200d" % 1, 1)
        yield Entry(b"last", 1)
        raise Broken("the end of the list")


@pytest.mark.parametrize("count", [62, 63, 64, 150])
def test_what_stands_before_and_beside_damage_is_listed(count: int) -> None:
    volume, unread = volume_of(Damaged(FILE, count))
    names = [place.path.lstrip(b"0") for place in volume.walk()]
    assert names == [b"", *(b"%d" % number for number in range(1, count + 1) if number % 10), b"last"]
    assert len(unread) == count // 10 + 2


def test_entries_beyond_the_bound_are_too_much() -> None:
    unread = UnreadParts()
    volume = Volume("p1", BytesSource(b""), Wide(FILE, 1000), Budget(entries=300), unread)
    assert 200 < sum(1 for _ in volume.walk()) <= 301
    assert [part.code for part in unread] == ["guest-too-much"]


@pytest.mark.parametrize(
    "command",
    ["mksquashfs TREE IMAGE -quiet -no-progress", "mkfs.erofs -d0 IMAGE TREE", "genisoimage -quiet -R -o IMAGE TREE"],
)
def test_each_object_is_counted_once_by_every_reader(tmp_path, command):
    """The bound is that of the operator: a reader that counts, too, would halve it."""
    tree, image = tmp_path / "tree", tmp_path / "image"
    tree.mkdir()
    for number in range(30):
        (tree / f"name-{number}").touch()
    words = command.replace("TREE", str(tree)).replace("IMAGE", str(image)).split()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    source = BytesSource(image.read_bytes())
    guest = open_guest(source, Budget(entries=40))
    assert len(list(guest.walk_volumes())) == 31
    assert list(guest.unread) == []
