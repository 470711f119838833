"""VMDK: the extents of ESX, COWD and SE sparse. Without a descriptor inside, neither is a disk by itself."""

from struct import unpack_from

from .requests import MAX_BYTES, Bytes
from .tables import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

_MAX_GRAIN = 0x200000
_MAX_DIRECTORY = 32 << 20
"""Sectors in a grain and entries in a directory: the limits of qemu (block/vmdk.c: vmdk_add_extent)."""

_SE_VERSION = 0x0000000200000001
_SE_VOLATILE_MAGIC = 0xCAFECAFE
_SE_PARTS = (
    "volatile header",
    "journal header",
    "journal",
    "grain directory",
    "grain tables",
    "free bitmap",
    "backmap",
)


def read_cowd(match: "Match") -> "Reader":
    """Read a copy-on-write extent ("Virtual Disk Format 1.1", VMware, COWDisk_Header): 2048 bytes, little-endian."""
    match.name = "vmdk-cowd"
    match.variant = "vmfsSparse"
    header = yield Bytes(0, 2048, "the header", short=True)
    match.find("subformat", "it is a COWD extent: one part of a disk that a separate descriptor describes")
    if len(header) < 32:
        match.find("truncated", f"its header has {len(header)} bytes")
        return
    version, flags, sectors, grain, directory, entries = unpack_from("<6I", header, 4)
    match.virtual_size = sectors * 512
    for number, (name, value) in enumerate(
        {"version": version, "flags": flags, "sectors": sectors, "grain sectors": grain}.items()
    ):
        match.note(name, value, 4 + 4 * number)
    match.note("grain directory", directory * 512, 20)
    match.note("grain tables", entries, 24)
    if version != 1:
        match.find("version", f"version of COWD is {version}, but must be 1", 4)
    if not 0 < grain <= _MAX_GRAIN or entries > _MAX_DIRECTORY:
        match.find("header", f"it has grains of {grain} sectors and {entries} grain tables", 16)
        return
    name = header[32:1056].partition(b"\0")[0]
    if not flags & 1 and name:
        match.find("parent", f"its parent is {name[:200]!r}", 32)
    match.must_reach(directory * 512 + entries * 4, "the grain directory")
    at, end = directory * 512, directory * 512 + entries * 4
    highest = 0
    while at < end:
        piece = yield Bytes(at, min(MAX_BYTES, end - at), "the grain directory", short=True, essential=False)
        if not piece:
            break
        highest = max(highest, 0, *numbers(piece, "<I"))
        at += len(piece)
    if highest:
        match.must_reach(highest * 512 + 4096 * 4, "a grain table")


def read_sesparse(match: "Match") -> "Reader":
    """Read a space-efficient sparse extent, which VMware does not document; the checks are those of qemu
    (check_se_sparse_*)."""
    match.name = "vmdk-sesparse"
    match.variant = "seSparse"
    match.find("subformat", "it is an SE sparse extent: one part of a disk that a separate descriptor describes")
    header = yield Bytes(0, 512, "the header")
    fields = unpack_from("<26Q", header)
    _, version, capacity, grain, table, flags = fields[:6]
    match.virtual_size = capacity * 512
    for number, (name, value) in enumerate(
        {"version": version, "capacity": capacity, "grain sectors": grain, "table sectors": table}.items()
    ):
        match.note(name, value, 8 + 8 * number)
    if version != _SE_VERSION:
        match.find("version", f"version of SE sparse is {version:#x}, but must be {_SE_VERSION:#x}", 8)
    if flags or any(fields[6:10]) or header[208:].strip(b"\0"):
        match.find("unknown-feature", "flags or reserved bytes of the header are set", 40)
    if grain != 8 or table != 64:
        match.find("header", f"grains have {grain} and tables {table} sectors, but must have 8 and 64", 24)
    for number, what in enumerate(_SE_PARTS):
        offset, length = fields[10 + 2 * number : 12 + 2 * number]
        match.note(what, offset * 512, 80 + 16 * number)
        if length:
            match.must_reach((offset + length) * 512, f"the {what}")
    volatile = yield Bytes(fields[10] * 512, 512, "the volatile header", essential=False)
    magic, _, _, journal = unpack_from("<4Q", volatile)
    if magic != _SE_VOLATILE_MAGIC:
        match.find("header", f"its volatile header begins with {magic:#x}", fields[10] * 512)
    elif journal:
        match.find("log", "its journal holds changes that are not in the disk yet", fields[10] * 512 + 24)
