"""A file system of Python objects, for what no mkfs makes: loops, names that are twice, sizes that are no sizes."""

from __future__ import annotations

from collections.abc import Iterator

from douane_guest.budget import Budget
from douane_guest.filesystems.base import FILE, FOLDER, LINK, Entry, Node, Unread
from douane_guest.guest import Guest
from douane_guest.source import BytesSource
from douane_guest.unread import UnreadParts
from douane_guest.volume import Volume


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


def tree_of(files: dict[str, str | bytes | Object]) -> dict[str, Object]:
    """Folders and files, from paths."""
    children: dict[str, Object] = {}
    below: dict[str, dict[str, str | bytes | Object]] = {}
    for path, content in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = content
        else:
            children[name] = content if isinstance(content, Object) else text(content)
    return children | {name: folder(tree_of(inner)) for name, inner in below.items()}


def guest_of(*systems: MemorySystem) -> Guest:
    budget, unread = Budget(), UnreadParts()
    volumes = [
        Volume(f"p{number}", BytesSource(b""), system, budget, unread) for number, system in enumerate(systems, 1)
    ]
    return Guest(None, volumes, budget, unread)
