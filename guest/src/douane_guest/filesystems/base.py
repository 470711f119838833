"""What a file system is: five functions over a :class:`~douane_guest.source.Source`.

A file system is a module or a package here, and one line in `registry.py`. It reads; it decides nothing. Paths, links
and walks are above it (`guest.py`), the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from douane_guest.budget import Budget
from douane_guest.errors import DAMAGE, Broken, GuestError, sentence_of
from douane_guest.filesystems.folding import Key
from douane_guest.source import Source

FILE, FOLDER, LINK, FIFO, SOCKET, CHAR, BLOCK = "file", "dir", "link", "fifo", "socket", "char", "block"
KINDS = {
    0o100000: FILE,
    0o040000: FOLDER,
    0o120000: LINK,
    0o010000: FIFO,
    0o140000: SOCKET,
    0o020000: CHAR,
    0o060000: BLOCK,
}
"""By the type bits of st_mode (inode(7))."""


class Node(NamedTuple):
    """A file, a folder, or another object of a file system, as stat(2) shows it."""

    ref: Any
    """By which the file system knows it: an inode number, or a place. Two names of the same object have equal refs,
    which can be keys of a dictionary."""

    kind: str
    mode: int
    """Permissions with the set-id and sticky bits, without the type. For a file system without such: 0o644 or 0o755."""

    uid: int
    gid: int
    size: int
    """In bytes; of a link, the length of its target."""

    mtime_ns: int
    links: int = 1
    device: tuple[int, int] | None = None
    """Major and minor number of a device."""

    detail: Any = None
    """What the reader keeps of the inode, so that it is not read twice."""


def make_node(fields: tuple[Any, ...]) -> Node:
    """All fields of a node, without the function of Python by which `Node(...)` makes one: half of the time."""
    return tuple.__new__(Node, fields)


class Entry(NamedTuple):
    """A name in a folder. "." and ".." are left out."""

    name: bytes
    """As it is stored, or UTF-8 where the file system has UTF-16. Never empty, without "/" and NUL: such a name is
    Broken."""

    ref: Any


class Unread(NamedTuple):
    """A part that could not be read; see `errors.py` for the codes."""

    where: str
    code: str
    why: str


class FileSystem(Protocol):
    """An open file system. All methods raise Broken, Unsupported and TooMuch, and nothing else."""

    name: str
    """``ext4``, ``xfs``, ``btrfs``, ``vfat``, ...: the kernel's word."""

    uuid: str
    """As blkid shows it; empty if there is none."""

    label: str
    root: Any
    """The ref of the root folder."""

    clean: bool
    """False: it was not unmounted. Then either its journal was replayed in memory, or `unread` says so."""

    unread: list[Unread]
    """What is known to be missing when it was opened: an unclean log that is not replayed, a second device."""

    def node(self, ref: Any) -> Node:
        """The object."""

    def entries(self, node: Node) -> Iterator[Entry]:
        """The entries of a folder, each once, in the order of the disk."""

    def target(self, node: Node) -> bytes:
        """The target of a link."""

    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """The bytes of a file as pieces `(offset, data)`, ascending, of at most 1 MiB; holes and unwritten extents are
        left out, and nothing lies at or beyond the size. `start`: pieces that end before it may be left out."""

    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """Extended attributes by their whole names (``security.selinux``)."""

    def place(self, node: Node) -> int:
        """Where on the disk its bytes begin, to read files in the order of the disk; 0 if unknown."""


class Folding(Protocol):
    """What a file system has in addition if some of its folders ignore case, or if its files have names that no list
    shows. All of it is optional; `volume.py` asks for it."""

    lists_every_case: bool
    """True: a folder that ignores case may have names that are the same, and all of them are listed."""

    def key(self, node: Node) -> Key | None:
        """By what names in a folder are the same; None: by their bytes."""

    def names(self, node: Node, wanted: bytes) -> Iterator[Entry]:
        """All names by which the guest finds something in a folder, or at least those that may be `wanted`."""


BATCH = 64
"""Objects that are read at once: folders on the way down of a walk keep as many each."""

Children = tuple[list[bytes], list[Node | GuestError]]
"""Names in a folder, and for each its object, or why it cannot be read."""


class Batches(Protocol):
    """What a file system has in addition if several objects at once are cheaper. Each is optional; `volume.py` asks
    for it."""

    def nodes(self, refs: list[Any]) -> list[Node | GuestError]:
        """The objects in the order of the refs, or why one cannot be read: the same as `node` for each."""

    def children(self, node: Node) -> Iterator[Children] | None:
        """The entries of a folder with their objects, BATCH at once: the same as `entries` and `nodes`. None: those are
        to be asked."""


def nodes_of(node: Callable[[Any], Node], refs: Iterable[Any]) -> list[Node | GuestError]:
    """The objects in the order of the refs, or why one cannot be read. `node` needs no `only_guest_errors`, which
    takes longer for each object than this does."""
    nodes: list[Node | GuestError] = []
    for ref in refs:
        try:
            nodes.append(node(ref))
        except GuestError as error:
            nodes.append(error)
        except DAMAGE as error:
            nodes.append(Broken(sentence_of(error)))
    return nodes


class Opener(Protocol):
    """A module of a file system has a function `probe`, and a function `open`."""

    def probe(self, source: Source) -> bool:
        """True if the source begins with this file system. Reads its superblock alone, and raises nothing but Broken
        from the source."""

    def open(self, source: Source, budget: Budget) -> FileSystem:
        """Open it; only what is needed to know its root is read."""
