"""Files and folders of an NTFS volume, as Linux' ntfs3 shows them with its default options, and their streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from douane_guest.budget import Budget
from douane_guest.errors import DAMAGE, Broken, GuestError, TooMuch, Unsupported, only_guest_errors
from douane_guest.filesystems.base import (
    BLOCK,
    CHAR,
    FIFO,
    FILE,
    FOLDER,
    KINDS,
    LINK,
    SOCKET,
    Entry,
    Node,
    Unread,
    make_node,
    nodes_of,
)
from douane_guest.filesystems.fat.names import from_utf16, utf8
from douane_guest.filesystems.folding import Key
from douane_guest.source import Source

from . import attributes, capitals, index, wof
from .boot import Boot
from .mft import File, Table
from .record import Type
from .reparse import Reparse
from .stream import Disk, pieces, runs_of, size_of
from .volume import ROOT, UPCASE, VOLUME, troubles

_FIRST_OF_USERS = 16
_NODES = 512
_TYPE = 0o170000
_SPECIAL = (CHAR, BLOCK, FIFO, SOCKET)
_EXTEND = 11
_OWN_FILES = frozenset(
    name.encode("utf-16-le")
    for name in (
        *(".", "$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", "$Bitmap", "$Boot", "$BadClus", "$Secure"),
        *("$UpCase", "$Extend", "$Quota"),
    )
)
_IN_EXTEND = frozenset(
    name.encode("utf-16-le") for name in ("$Quota", "$ObjId", "$Reparse", "$UsnJrnl", "$RmMetadata", "$Deleted")
)
_DOTS = (b".", b"..")
_HIBERNATION = "hiberfil.sys".encode("utf-16-le")


class Ref(NamedTuple):
    """A file, or a stream of it."""

    number: int
    sequence: int
    stream: str


class Detail(NamedTuple):
    """What is kept of a file."""

    file: File
    reparse: Reparse | None


class Ntfs:
    """See :class:`~douane_guest.filesystems.base.FileSystem`."""

    name = "ntfs"
    lists_every_case = True
    """The Linux subsystem and ntfs-3g make names that differ in case alone on purpose."""

    @only_guest_errors
    def __init__(self, source: Source, boot: Boot, budget: Budget) -> None:
        self._disk = Disk(source, boot.cluster, boot.clusters, budget)
        self._table = Table(self._disk, boot)
        self._nodes: dict[Ref, Node] = {}
        self._key: Key | None = None
        root = self._table.file(ROOT)
        self.root = Ref(ROOT, root.record.sequence, "")
        self.uuid = f"{boot.serial:016X}"
        volume = self._table.file(VOLUME)
        self.label = (volume.value(Type.VOLUME_NAME) or b"").decode("utf-16-le", "replace")
        self.unread: list[Unread] = list(troubles(self._disk, self._table, volume, self._hibernation(root)))
        self.clean = not self.unread

    @only_guest_errors
    def node(self, ref: Ref) -> Node:
        """See the base."""
        return self._node(ref)

    def nodes(self, refs: list[Ref]) -> list[Node | GuestError]:
        """See the base."""
        return nodes_of(self._node, refs)

    def _node(self, ref: Ref) -> Node:
        node = self._nodes.get(ref)
        if node is None:
            node = self._read_node(ref)
            while len(self._nodes) >= _NODES:
                del self._nodes[next(iter(self._nodes))]
            self._nodes[ref] = node
        return node

    @only_guest_errors
    def entries(self, node: Node) -> Iterator[Entry]:
        """See the base. The streams of a file follow it as ``file:stream``; the volume's own files are left out."""
        yield from self._checked(node, with_dos=False, with_streams=True)

    @only_guest_errors
    def names(self, node: Node, wanted: bytes) -> Iterator[Entry]:
        """See the base: a file is found by its name for DOS, too. To list streams, each file has to be read."""
        if b":" not in wanted and wanted not in _DOTS:
            matches = index.search(self._disk, node.detail.file, _units(self.key(node)(wanted)), self._folded)
            if matches is not None:
                for name in matches:
                    if name.number >= _FIRST_OF_USERS:
                        yield Entry(from_utf16(name.name), Ref(name.number, name.sequence, ""))
                return
        yield from self._checked(node, with_dos=True, with_streams=b":" in wanted)

    @only_guest_errors
    def key(self, node: Node) -> Key:
        """See the base: by the volume's own table. A folder that is marked as one that heeds case is no exception: the
        mark is not documented, so two such names in it are told when one of them is asked for."""
        if self._key is None:
            self._key = capitals.read(self._disk, self._table.file(UPCASE))
        return self._key

    def _folded(self, name: bytes) -> bytes:
        """A name of the index in capitals, so that bytes have the order of the index: that of units of UTF-16."""
        if self._key is None:
            raise Broken("the table of capital letters of NTFS was not read")
        return _units(self._key(utf8(name)))

    def _checked(self, node: Node, *, with_dos: bool, with_streams: bool) -> Iterator[Entry]:
        with_colon: set[bytes] = set()
        for entry in self._names(node, with_dos=with_dos, with_streams=with_streams):
            if b":" in entry.name:
                if entry.name in with_colon:
                    raise Broken(f"a folder of NTFS has a file and a stream, both with the name {entry.name!r}")
                with_colon.add(entry.name)
            yield entry

    @only_guest_errors
    def target(self, node: Node) -> bytes:
        """See the base."""
        if node.detail.reparse is None or node.kind != LINK:
            raise Broken("the file of NTFS is no link")
        return bytes(node.detail.reparse.target)

    @only_guest_errors
    def chunks(self, node: Node, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """See the base."""
        point: Reparse | None = None if node.ref.stream else node.detail.reparse
        if point is not None and point.unread:
            raise Unsupported(point.unread)
        if point is not None and point.overlay is not None:
            yield from wof.chunks(self._disk, node.detail.file, wof.method(point.overlay), start)
            return
        yield from pieces(self._disk, node.detail.file.parts(Type.DATA, node.ref.stream), start)

    @only_guest_errors
    def xattrs(self, node: Node) -> dict[bytes, bytes]:
        """See the base."""
        return {} if node.ref.stream else attributes.extended(self._disk, node.detail.file)

    @only_guest_errors
    def place(self, node: Node) -> int:
        """See the base."""
        point = node.detail.reparse
        stream = wof.STREAM if point and point.overlay is not None and not node.ref.stream else node.ref.stream
        parts = node.detail.file.parts(Type.DATA, stream)
        if not parts or parts[0].extent is None:
            return 0
        first = next((run.cluster for run in runs_of(self._disk, parts) if run.cluster is not None), 0)
        return first * self._disk.cluster

    def _read_node(self, ref: Ref) -> Node:
        file = self._table.file(ref.number, ref.sequence)
        point = attributes.reparse(self._disk, file)
        basic = attributes.basic(file)
        data = file.parts(Type.DATA, ref.stream)
        if ref.stream and not data:
            raise Broken(f"a file of NTFS has no stream {ref.stream!r}")
        size = size_of(data)
        if ref.stream:
            return Node(ref, FILE, 0o755, 0, 0, size, basic.mtime_ns, 1, None, Detail(file, point))
        kind = FOLDER if file.record.folder else FILE
        if point and point.kind:
            kind, size = point.kind, len(point.target)
        linux = attributes.linux(self._disk, file)
        mode, uid, gid = linux.owner or (0o777 if kind == LINK else 0o755, 0, 0)
        if kind == FILE and KINDS.get(mode & _TYPE) in _SPECIAL:
            kind = KINDS[mode & _TYPE]
        device = linux.device if kind in (CHAR, BLOCK) else None
        size = size if kind in (FILE, LINK) else 0
        detail = tuple.__new__(Detail, (file, point))
        return make_node((ref, kind, mode & 0o7777, uid, gid, size, basic.mtime_ns, basic.links, device, detail))

    def _names(self, node: Node, *, with_dos: bool, with_streams: bool) -> Iterator[Entry]:
        if with_streams and node.ref == self.root:
            yield from self._streams(b"", node.ref)
        strangers = not with_dos and node.ref == self.root and self._has_strangers()
        for name in index.names(self._disk, node.detail.file):
            if name.number < _FIRST_OF_USERS:
                strangers |= node.ref != self.root or name.name not in _OWN_FILES
            elif with_dos or not name.for_dos:
                text = from_utf16(name.name)
                ref = tuple.__new__(Ref, (name.number, name.sequence, ""))
                yield tuple.__new__(Entry, (text, ref))
                if with_streams:
                    yield from self._streams(text, ref)

        if strangers and not with_dos:
            raise Broken("a folder of NTFS names files as the volume's own, which are not shown, and they are not")

    def _has_strangers(self) -> bool:
        """True if the folder of further files of the volume has others, which are found by their paths."""
        try:
            extend = self._table.file(_EXTEND)
        except Broken:
            return False  # before Windows 2000 there was none
        return extend.record.folder and any(name.name not in _IN_EXTEND for name in index.names(self._disk, extend))

    def _streams(self, name: bytes, ref: Ref) -> Iterator[Entry]:
        try:
            file: File = self._node(ref).detail.file
        except TooMuch:
            raise
        except (GuestError, *DAMAGE):
            return  # whoever asks for the node is told
        for stream in file.streams():
            yield Entry(
                name + b":" + from_utf16(stream.encode("utf-16-le", "surrogatepass")), ref._replace(stream=stream)
            )

    def _hibernation(self, root: File) -> File | None:
        """The file to which Windows writes its memory."""
        for name in index.names(self._disk, root):
            if name.name.lower() == _HIBERNATION:
                return self._table.file(name.number, name.sequence)
        return None


def _units(name: bytes) -> bytes:
    """The units of UTF-16 of a name, the higher byte first; of one that is no text, which no file has, its bytes."""
    try:
        return name.decode("utf-8", "surrogatepass").encode("utf-16-be", "surrogatepass")
    except UnicodeDecodeError:
        return name
