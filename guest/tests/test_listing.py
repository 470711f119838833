"""The listing of a guest: its order, its digests, and what a person sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from memory_filesystem import MemorySystem, link, text

from douane_guest import disk_order
from douane_guest.budget import Budget
from douane_guest.containers.base import Extent
from douane_guest.discovery import is_empty
from douane_guest.errors import Broken
from douane_guest.filesystems.base import Node
from douane_guest.guest import Guest
from douane_guest.listing import Request, as_row, listing
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume


class Placed(MemorySystem):
    """Files lie on the disk in the contrary order of their names; `b` cannot be read."""

    def place(self, node: Node) -> int:
        return -ord(node.ref.data)

    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        if node.ref.data == b"b":
            raise Broken("the file has no end")
        return super().chunks(node, start)


def guest_of(system: MemorySystem) -> Guest:
    budget, unread = Budget(), UnreadParts()
    return Guest(None, [Volume("p1", BytesSource(b""), system, budget, unread)], budget, unread)


def test_files_are_read_in_the_order_of_the_disk_and_one_that_cannot_be_read_has_no_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_order, "BATCH_FILES", 3)
    guest = guest_of(Placed({name: text(name) for name in "abcde"}))
    lines = list(listing(guest, Request(recursive=True, digest=True)))
    assert [line.item.path for line in lines] == ["/", "/c", "/b", "/a", "/e", "/d"]
    digests = {line.item.path: line.sha256 for line in lines}
    assert digests["/a"] == hashlib.sha256(b"a").hexdigest()
    assert digests["/b"] is None
    assert [(part.where, part.code) for part in guest.unread] == [("p1:/b", "guest-broken")]


def test_a_name_that_drives_a_terminal_is_quoted() -> None:
    guest = guest_of(MemorySystem({"a\nb\x1b[2J": link("c\x9bd"), "é": text("x")}))
    rows = sorted(as_row(line, digest=False).decode() for line in listing(guest, Request()))
    assert rows[0].endswith(" p1:/é\n")
    assert rows[1].endswith(' p1:"/a\\nb\\u001b[2J" -> "c\\u009bd"\n')


def test_of_an_empty_disk_only_what_is_allocated_is_read() -> None:
    class Sparse(BytesSource):
        def __init__(self) -> None:
            super().__init__(b"")
            self.size = 1 << 46
            self.places: list[int] = []

        def extents(self) -> Iterator[Extent]:
            yield Extent(1 << 45, 8192)

        def pread(self, offset: int, count: int) -> bytes:
            self.places.append(offset)
            return bytes(count)

    disk = Sparse()
    assert is_empty(disk, Budget())
    assert disk.places == [1 << 45]
