"""A file system of Python objects, for what no mkfs makes: loops, names that are twice, sizes that are no sizes."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.filesystems.base import FILE, FOLDER, LINK, Entry, Node, Unread


class Object:
    """A file, a folder or a link."""

    def __init__(self, kind: str, data: bytes = b"", children: dict[str, Object] | None = None) -> None:
        self.kind = kind
        self.data = data
        self.size = len(data)
        self.links = 1
        self.children = [(name.encode("utf-8", "surrogateescape"), child) for name, child in (children or {}).items()]


def folder(children: dict[str, Object]) -> Object:
    return Object(FOLDER, children=children)


def text(content: str | bytes) -> Object:
    return Object(FILE, content.encode() if isinstance(content, str) else content)


def link(target: str) -> Object:
    return Object(LINK, target.encode())


class MemorySystem:
    """See `filesystems/base.py`."""

    label = ""
    clean = True

    def __init__(self, children: dict[str, Object], *, name: str = "ext4", uuid: str = "") -> None:
        self.name = name
        self.uuid = uuid
        self.root = folder(children)
        self.unread: list[Unread] = []

    def node(self, ref: Object) -> Node:
        return Node(ref, ref.kind, 0o644, 0, 0, ref.size, 0, ref.links)

    def entries(self, node: Node) -> Iterator[Entry]:
        for name, child in node.ref.children:
            yield Entry(name, child)

    def target(self, node: Node) -> bytes:
        return node.ref.data

    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        if node.ref.data:
            yield 0, node.ref.data

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        return {}

    def place(self, node: Node) -> int:
        return 0
