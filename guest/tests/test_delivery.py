"""The stream of all files: each once, with its digest, and nothing that cannot be read is left out of the list."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from memory_filesystem import MemorySystem, Object, folder, link, text

from douane_guest import delivery, disk_order
from douane_guest.budget import Budget
from douane_guest.delivery import Bounds, Data, End, EndOfFile, Entry, Hole, VolumeSeen, deliver
from douane_guest.errors import Broken
from douane_guest.filesystems.base import FILE, Node, Unread
from douane_guest.guest import Guest, open_guest
from douane_guest.source import BytesSource, FileSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume

MIB = 1 << 20


def guest_of(*systems: MemorySystem) -> Guest:
    """A guest whose volumes are in memory."""
    budget, unread = Budget(), UnreadParts()
    volumes = [
        Volume(f"p{number}", BytesSource(b""), system, budget, unread) for number, system in enumerate(systems, 1)
    ]
    return Guest(None, volumes, budget, unread)


def files(guest: Guest, bounds: Bounds | None = None) -> dict[tuple[str, bytes], tuple[str | None, bytes]]:
    """Digest and bytes of each file; "same as NAME" for a later name. Checks the order of the events."""
    result: dict[tuple[str, bytes], tuple[str | None, bytes]] = {}
    entry: Entry | None = None
    parts: list[bytes] = []
    count = 0
    last: object = None
    for event in deliver(guest, bounds):
        last = event
        match event:
            case VolumeSeen():
                assert count == 0
            case Entry(volume, path, node, _, same_as):
                assert entry is None
                count += 1
                if same_as is not None:
                    result[volume.name, path] = ("same as " + same_as.decode(), b"")
                elif node.kind == FILE:
                    entry, parts = event, []
            case Data(data):
                assert entry is not None
                assert 0 < len(data) <= MIB
                parts.append(bytes(data))
            case Hole(length):
                assert entry is not None
                assert length > 0
                parts.append(bytes(length) if length < 64 * MIB else b"a large hole")
            case EndOfFile(digest):
                assert entry is not None
                content = b"".join(parts)
                if digest is not None:
                    assert digest == hashlib.sha256(content).digest()
                result[entry.volume.name, entry.path] = (digest.hex() if digest else None, content)
                entry = None
    assert last == End(count, len(guest.unread))
    return result


def unread(guest: Guest, bounds: Bounds | None = None) -> list[tuple[str, str]]:
    """The parts that came as events: as many as are in the list of the guest."""
    parts = [(event.where, event.code) for event in deliver(guest, bounds) if isinstance(event, Unread)]
    assert parts == [(part.where, part.code) for part in guest.unread]
    return parts


class Placed(MemorySystem):
    """With places on the disk, holes, and files that cannot be read to their ends."""

    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        yield from super().chunks(node, start)
        if getattr(node.ref, "broken", False):
            raise Broken("an extent lies outside of the disk")

    def place(self, node: Node) -> int:
        return getattr(node.ref, "disk_place", 0)


def placed(content: bytes, disk_place: int) -> Object:
    file = text(content)
    file.disk_place = disk_place  # type: ignore[attr-defined]
    return file


def test_files_come_in_the_order_of_the_disk_and_all_volumes_before_them() -> None:
    first = Placed({"a": placed(b"a", 3), "b": placed(b"b", 1), "d": folder({"c": placed(b"c", 2)})})
    guest = guest_of(first, Placed({"x": text("x"), "l": link("x")}))
    events = list(deliver(guest))
    assert [event.volume.name for event in events[:2] if isinstance(event, VolumeSeen)] == ["p1", "p2"]
    paths = [event.path for event in events if isinstance(event, Entry) and event.node.kind == FILE]
    assert paths == [b"/b", b"/d/c", b"/a", b"/x"]
    assert [event.link for event in events if isinstance(event, Entry) and event.path == b"/l"] == [b"x"]
    assert len(files(guest)) == 4


def test_a_file_that_cannot_be_read_is_listed_where_it_is_and_the_next_ones_are_delivered() -> None:
    broken = placed(b"its beginning", 2)
    broken.broken = True  # type: ignore[attr-defined]
    broken.size = 100
    guest = guest_of(Placed({"a": placed(b"a", 1), "broken": broken, "c": placed(b"c", 3)}))
    events = list(deliver(guest))
    end = events.index(EndOfFile(None))
    assert events[end - 1] == Unread("p1:/broken", "guest-broken", "an extent lies outside of the disk")
    delivered = files(guest)
    assert delivered["p1", b"/broken"] == (None, b"its beginning")
    assert delivered["p1", b"/c"][1] == b"c"


def test_later_names_of_a_file_have_no_bytes() -> None:
    shared = text("shared")
    shared.links = 3
    guest = guest_of(MemorySystem({"a": shared, "d": folder({"b": shared, "c": text("c")}), "e": shared}))
    delivered = files(guest)
    names = [path for (_, path), (digest, _) in delivered.items() if digest == "same as /a"]
    assert names == [b"/e", b"/d/b"]
    assert delivered["p1", b"/a"][1] == b"shared"


def test_names_of_files_that_are_no_longer_remembered_are_delivered_again(monkeypatch) -> None:
    monkeypatch.setattr(delivery, "LINKED_FILES", 1)
    first, second = text("first"), text("second")
    first.links = second.links = 2
    guest = guest_of(MemorySystem({"1": first, "2": second, "3": second, "4": first}))
    delivered = files(guest)
    assert delivered["p1", b"/3"][1] == b"second"
    assert delivered["p1", b"/4"][0] == "same as /1"


def test_an_extent_that_a_million_files_share_ends_at_the_bound() -> None:
    shared = text(bytes(MIB))
    many = folder({})
    many.children = [(b"%d" % number, shared) for number in range(20_000)]
    guest = guest_of(MemorySystem({"many": many}))
    total = sum(len(event.data) for event in deliver(guest, Bounds(8 * MIB, MIB)) if isinstance(event, Data))
    assert total == 8 * MIB
    assert {part.code for part in guest.unread} == {"guest-too-much"}


def test_a_file_of_an_exbibyte_is_one_hole_without_a_digest_and_spoils_no_other() -> None:
    huge, sparse = text(""), text("")
    huge.size, sparse.size = 1 << 60, MIB
    guest = guest_of(MemorySystem({"huge": huge, "sparse": sparse, "next": text("n")}))
    delivered = files(guest, Bounds(MIB, 2 * MIB))
    assert delivered["p1", b"/huge"] == (None, b"a large hole")
    assert delivered["p1", b"/next"][0] == hashlib.sha256(b"n").hexdigest()
    assert [(part.where, part.code) for part in guest.unread] == [("p1:/huge", "guest-too-much")]


def test_holes_are_in_the_digest() -> None:
    sparse = text("data")
    sparse.size = 100_000
    guest = guest_of(MemorySystem({"sparse": sparse}))
    assert files(guest)["p1", b"/sparse"][0] == hashlib.sha256(b"data".ljust(100_000, b"\0")).hexdigest()


def test_a_loop_of_folders_and_an_image_that_is_nothing_end() -> None:
    loop = folder({"file": text("f")})
    loop.children.append((b"again", loop))
    assert unread(guest_of(MemorySystem({"loop": loop}))) == [("p1:/loop/again", "guest-broken")]
    assert [code for _, code in unread(open_guest(BytesSource(b"noise" + bytes(MIB))))] == ["guest-unknown"]


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 6))
def test_every_file_comes_once_whatever_the_batches(contents: list[bytes], batch: int) -> None:
    size, disk_order.BATCH_FILES = disk_order.BATCH_FILES, batch
    try:
        objects = {f"f{number}": placed(content, len(content)) for number, content in enumerate(contents)}
        delivered = files(guest_of(Placed(objects)))
    finally:
        disk_order.BATCH_FILES = size
    assert {path: content for (_, path), (_, content) in delivered.items()} == {
        b"/f%d" % number: content for number, content in enumerate(contents)
    }


def test_a_real_file_system_is_delivered_as_it_was_packed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep/er").mkdir(parents=True)
    (tree / "deep/er/file").write_bytes(os.urandom(3 * MIB))
    os.link(tree / "deep/er/file", tree / "deep/name")
    (tree / os.fsdecode(b"odd\xff\n")).write_bytes(b"odd")
    with (tree / "sparse").open("wb") as sparse:
        sparse.seek(9 * MIB)
        sparse.write(b"end")
    image = tmp_path / "disk.img"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image, "48M"], check=True, capture_output=True)
    with image.open("rb") as file:
        delivered = files(open_guest(FileSource(file.fileno())))
    names = {path for _, path in delivered}
    assert names == {b"/deep/er/file", b"/deep/name", b"/odd\xff\n", b"/sparse"}
    digests = {digest for digest, _ in delivered.values()}
    assert hashlib.sha256((tree / "deep/name").read_bytes()).hexdigest() in digests
    assert len([digest for digest in digests if digest and digest.startswith("same as")]) == 1
    with (tree / "sparse").open("rb") as sparse:
        assert delivered["disk", b"/sparse"][0] == hashlib.file_digest(sparse, "sha256").hexdigest()
