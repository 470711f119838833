"""VMDK: checks of the descriptor, a text that lists the extents of a disk ("Virtual Disk Format 5.0", VMware, "The
Descriptor File").

A descriptor is in a file of its own, or embedded in a sparse extent. Programs differ in what they take for text, where
they stop and how they search a key (qemu with strstr, block/vmdk.c: vmdk_parse_description), so that anything that only
one program takes for a descriptor is a finding.
"""

from douane_guest.headers.vmdk_descriptor import MAX_BYTES, Descriptor

from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

QEMU_OFFSET, QEMU_BYTES = 512, 20 * 512
"""The place in a sparse extent where qemu searches parentFileNameHint, whatever the header says (vmdk_parent_open)."""

_PROBED = 512
_SEARCHED = 10240
_SIGNATURE = b"disk descriptorfile"
_LEADING = b" \t\r\n\v\f\0\xef\xbb\xbf\xff\xfe"
_VERSIONS = tuple(b"version=%d%s" % (number, end) for number in (1, 2, 3) for end in (b"\n", b"\r\n"))
_OTHER_FILES = ("changetrackpath",)
"""Keys that name another file which VMware opens: the tracking of changed blocks."""


def recognise(head: bytes) -> str:
    """How an image that begins with `head` is recognised as a descriptor.

    ``"probe"``: by qemu, which then opens it in any case; ``"signature"``: by its first comment, as by libvmdk and
    file(1); ``"keys"``: by qemu if the user names the format; empty: by no program.
    """
    if _probe(head[:_PROBED]):
        return "probe"
    start = head[:_SEARCHED]
    if b"\0" in start[:256] or start[:1] in _MARKS or start[:1] == b"#":
        bare = start.replace(b"\0", b"").lstrip(_LEADING)
        if bare[:1] == b"#" and bare[1:64].lstrip().lower().startswith(_SIGNATURE):
            return "signature"
    # without a comment at the start of the file: strstr finds the key before the first NUL
    start = start.partition(b"\0")[0]
    at = start.find(b"createType")
    if at >= 0 and start[257:262] != b"ustar":
        lines = start.lower().replace(b"\r", b"\n").split(b"\n")
        keys = {line.partition(b"=")[0].strip() for line in lines if b"=" in line}
        if b"createtype" in keys and (b"parentcid" in keys or b"cid" in keys or any(map(_names_extent, lines))):
            return "keys"
    return ""


_MARKS = tuple(bytes((byte,)) for byte in _LEADING)


def _names_extent(line: bytes) -> bool:
    words = line.split(None, 3)
    return len(words) == 4 and words[0] in (b"rw", b"rdonly", b"noaccess") and words[1].isdigit()


def _probe(start: bytes) -> bool:
    """The rule of qemu (block/vmdk.c: vmdk_probe): comments and blank lines of spaces, then ``version=``."""
    at = 0
    while at < len(start):
        if start[at : at + 1] == b"#":
            end = start.find(b"\n", at)
            at = len(start) if end < 0 else end + 1
        elif start[at : at + 1] == b" ":
            while start[at : at + 1] == b" ":
                at += 1
            if start[at : at + 1] == b"\r":
                at += 1
            if start[at : at + 1] != b"\n":
                return False
            at += 1
        else:
            return start[at:].startswith(_VERSIONS)
    return False


def read_text(match: "Match", how: str) -> "Reader":
    """Read an image that is a descriptor; `how` is the result of :func:`recognise`."""
    match.name = "vmdk-descriptor"
    data = yield Bytes(0, MAX_BYTES + 1, "the descriptor", short=True)
    if len(data) > MAX_BYTES:
        match.find("descriptor", f"it has more than the {MAX_BYTES} bytes that qemu reads of a descriptor")
        data = data[:MAX_BYTES]
    if how != "probe":
        match.find("descriptor", f"qemu does not recognise it, other programs may: it begins with {data[:24]!r}", 0)
    descriptor = Descriptor(data.lstrip(_LEADING) if how == "signature" else data)
    match.variant = descriptor.value("createType")
    match.virtual_size = descriptor.sectors * 512
    note(match, descriptor, 0)
    match.find("subformat", "it is a descriptor: a text that lists the files of a disk, without the disk")
    add_findings(match, descriptor, 0)
    for extent in descriptor.extents:
        if extent.name:
            match.find("external-extent", f"the extent {extent.kind[:20]!r} is in {extent.name[:200]!r}")


def judge_embedded(match: "Match", data: bytes, offset: int, capacity: int, grain: int) -> None:
    """Check the descriptor in a sparse extent; `capacity` and `grain` are those of the header, in sectors."""
    descriptor = Descriptor(data)
    note(match, descriptor, offset)
    add_findings(match, descriptor, offset)
    kind = descriptor.value("createType")
    if kind:
        match.variant = kind
    if kind.lower() not in ("monolithicsparse", "streamoptimized"):
        match.find("descriptor", f"createType is {kind[:60]!r}, which a single sparse extent cannot be", offset)
    if not descriptor.extents:
        match.find("descriptor", "it names no extent, but must name its own", offset)
    for number, extent in enumerate(descriptor.extents):
        if extent.kind != "SPARSE" or number:
            what = f"extent {number + 1} of type {extent.kind[:20]!r} is in {extent.name[:200]!r}"
            match.find("external-extent", f"{what}: other files would be opened", offset)
        elif _leads_elsewhere(extent.name):
            match.find("external-extent", f"its extent is in {extent.name[:200]!r}, another folder", offset)
        # capacity may be rounded up to a grain
        elif capacity and not extent.sectors <= capacity < extent.sectors + max(grain, 1):
            match.find("header", f"its extent has {extent.sectors} sectors, but the header says {capacity}", offset)


def add_findings(match: "Match", descriptor: Descriptor, offset: int) -> None:
    """Add the findings that hold for any descriptor."""
    for what in descriptor.faults:
        match.find("descriptor", what, offset)
    for what in descriptor.oddities:
        match.find("odd", what, offset)
    find_parent(match, descriptor.text, offset)
    cid = descriptor.value("parentCID")
    if cid and cid.lower() != "ffffffff":
        match.find("parent", f"parentCID is {cid[:40]!r}, but must be ffffffff without a parent", offset)
    for key in _OTHER_FILES:
        if descriptor.value(key):
            match.find("external-extent", f"{key} names the file {descriptor.value(key)[:200]!r}", offset)
    for key in descriptor.values:
        if key.startswith("encryption"):
            match.find("encrypted", f"it has the key {key[:60]!r}", offset)
            break


def find_parent(match: "Match", text: bytes, offset: int) -> None:
    """Add a finding if `text` names a parent anywhere: qemu takes the name even from a comment (vmdk_parent_open)."""
    at = text.lower().find(b"parentfilenamehint")
    if at >= 0:
        line = text[at : at + 200].partition(b"\n")[0]
        match.find("parent", f"it names a parent: {line!r}", offset + at)


def _leads_elsewhere(name: str) -> bool:
    return not name or name in (".", "..") or any(mark in name for mark in ("/", "\\", ":"))


def note(match: "Match", descriptor: Descriptor, offset: int) -> None:
    """Note the main fields of a descriptor."""
    for key in ("version", "encoding", "CID", "parentCID", "createType", "ddb.adapterType", "ddb.virtualHWVersion"):
        if descriptor.value(key):
            match.note(key, descriptor.value(key), offset)
    for extent in descriptor.extents[:16]:
        match.note("extent", f"{extent.access} {extent.sectors} {extent.kind} {extent.name!r}", offset)
