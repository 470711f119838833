"""VMDK: the text that says of which extents a disk consists ("Virtual Disk Format 5.0", VMware, "The Descriptor File").

It stands in a file of its own, or is embedded in a sparse extent. Its readers differ in what they take for text, where
they stop and how they look for a key (qemu searches it with strstr, block/vmdk.c: vmdk_parse_description), so whatever
only one of them would take for a descriptor is a finding.
"""

from .requests import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .match import Match
    from .requests import Reader

MAX_BYTES = (1 << 20) - 1
"""What qemu reads of one (vmdk_read_desc)."""

QEMU_OFFSET, QEMU_BYTES = 512, 20 * 512
"""Where qemu looks for parentFileNameHint in a sparse extent, whatever its header says (vmdk_parent_open)."""

CID_DIGITS = 8
"""When qemu writes a shorter CID (%x) it leaves the last bytes of the text before behind the new one's NUL, fewer than
the digits that there can be (block/vmdk.c: vmdk_write_cid): seen with 1 of 256 that qemu-img convert makes."""

_PROBED = 512
_SEARCHED = 10240
_SIGNATURE = b"disk descriptorfile"
_LEADING = b" \t\r\n\v\f\0\xef\xbb\xbf\xff\xfe"
_CONTROLS = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"
_ACCESS = ("RW", "RDONLY", "NOACCESS")
_VERSIONS = tuple(b"version=%d%s" % (number, end) for number in (1, 2, 3) for end in (b"\n", b"\r\n"))
_ONCE = ("createtype", "cid", "parentcid", "version", "encoding")
_OTHER_FILES = ("changetrackpath",)
"""Keys by which VMware opens another file beside the disk: the one of changed blocks."""


class Extent:
    """One line about an extent: `access`, length in `sectors`, `kind` (``SPARSE``), `name` as written, may be empty."""

    __slots__ = ("access", "kind", "name", "sectors")

    def __init__(self, access: str, sectors: int, kind: str, name: str) -> None:
        self.access, self.sectors, self.kind, self.name = access, sectors, kind, name


class Descriptor:
    """A descriptor: `values` by key in lower case, the first one where there are several; its `extents`; and what is
    wrong with the `text`, `odd` for what no reader stumbles over."""

    def __init__(self, data: bytes) -> None:
        self.values: dict[str, str] = {}
        self.extents: list[Extent] = []
        self.wrong: list[str] = []
        self.odd: list[str] = []
        text, _, after = data.partition(b"\0")
        rest = after.rstrip(b"\0")
        if rest and not (len(rest) < CID_DIGITS and text.endswith(rest)):
            self.wrong.append(f"bytes stand behind the NUL at {len(text)}, where some readers stop and others do not")
        if text.strip(b" \t\r\n")[:1] != text[:1]:
            self.wrong.append(f"it begins with {text[:8]!r}")
        self.text = text
        for line in text.split(b"\n"):
            self._add(line.rstrip(b"\r"))

    def value(self, key: str) -> str:
        """The value of a key, empty if there is none."""
        return self.values.get(key.lower(), "")

    @property
    def sectors(self) -> int:
        """Length of the disk in sectors of 512 bytes, by its extents."""
        return sum(extent.sectors for extent in self.extents)

    def _add(self, line: bytes) -> None:
        if line.translate(None, _CONTROLS) != line:
            self._complain(f"a line has control characters: {line[:60]!r}")
        bare = line.strip()
        if not bare.isascii():
            # in the name of an extent or a comment, nobody's parser can stumble over it
            outside = b"".join(bare.split(b'"')[::2])
            if bare[:1] != b"#" and not outside.isascii():
                self._complain(f"a line has bytes that are not ASCII: {line[:60]!r}")
            elif len(self.odd) < 4:
                self.odd.append(f"a line has bytes that are not ASCII: {line[:60]!r}")
        if not bare or bare.startswith(b"#"):
            return
        told = bare.decode("latin-1")
        words = [word.decode("latin-1") for word in bare.split(None, 3)]  # str.split knows more blanks
        if words[0].upper() in _ACCESS:
            self._add_extent(told, words)
            return
        key, equals, value = told.partition("=")
        key = key.strip().lower()
        if not equals:
            if len(self.odd) < 4:
                self.odd.append(f"a line is neither an extent nor a key with its value: {told[:60]!r}")
        elif key in self.values:
            if key in _ONCE:
                self._complain(f"{key} appears more than once")
        elif len(self.values) < 200:
            self.values[key] = value.strip().strip('"')

    def _add_extent(self, told: str, words: "list[str]") -> None:
        number = words[1] if len(words) > 1 else ""
        if not (number.isascii() and number.isdigit() and len(number) < 20 and len(words) > 2):
            self._complain(f"an extent is not written as extents are: {told[:60]!r}")
            return
        rest = words[3] if len(words) > 3 else ""
        name = rest.split('"')[1] if rest.count('"') >= 2 else rest
        if len(self.extents) < 4096:
            self.extents.append(Extent(words[0].upper(), int(number), words[2].upper(), name))

    def _complain(self, what: str) -> None:
        if len(self.wrong) < 8 and what not in self.wrong:
            self.wrong.append(what)


def recognise(head: bytes) -> str:
    """By what an image that begins with `head` is taken for a descriptor: ``"probe"`` by qemu, which opens it then
    whatever it was told it is; ``"signature"`` by its first comment, as libvmdk and file do; ``"keys"`` by qemu if it
    was told that it is a VMDK; empty if nobody does."""
    if _probe(head[:_PROBED]):
        return "probe"
    start = head[:_SEARCHED]
    if b"\0" in start[:256] or start[:1] in _MARKS or start[:1] == b"#":
        bare = start.replace(b"\0", b"").lstrip(_LEADING)
        if bare[:1] == b"#" and bare[1:64].lstrip().lower().startswith(_SIGNATURE):
            return "signature"
    # without any comment, but at the beginning of the file: strstr finds it, up to the first NUL
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
    """qemu's rule (block/vmdk.c: vmdk_probe): comments and blank lines of spaces, then ``version=``."""
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
    """Read an image that is a descriptor; `how` as :func:`recognise` said."""
    match.name = "vmdk-descriptor"
    data = yield Bytes(0, MAX_BYTES + 1, "the descriptor", short=True)
    if len(data) > MAX_BYTES:
        match.find("descriptor", f"it has more than {MAX_BYTES} bytes, which is what qemu reads of a descriptor")
        data = data[:MAX_BYTES]
    if how != "probe":
        match.find("descriptor", f"qemu does not recognise it by itself, others may: it begins with {data[:24]!r}", 0)
    descriptor = Descriptor(data.lstrip(_LEADING) if how == "signature" else data)
    match.variant = descriptor.value("createType")
    match.virtual_size = descriptor.sectors * 512
    note(match, descriptor, 0)
    match.find("subformat", "it is a descriptor: text that says in which files a disk is, without the disk")
    complain(match, descriptor, 0)
    for extent in descriptor.extents:
        if extent.name:
            match.find("external-extent", f"the extent {extent.kind[:20]!r} is in {extent.name[:200]!r}")


def judge_embedded(match: "Match", data: bytes, offset: int, capacity: int, grain: int) -> None:
    """What is wrong with the descriptor in a sparse extent; `capacity` and `grain` are its header's, in sectors."""
    descriptor = Descriptor(data)
    note(match, descriptor, offset)
    complain(match, descriptor, offset)
    kind = descriptor.value("createType")
    if kind:
        match.variant = kind
    if kind.lower() not in ("monolithicsparse", "streamoptimized"):
        match.find("descriptor", f"createType is {kind[:60]!r}, and one sparse extent cannot be that", offset)
    if not descriptor.extents:
        match.find("descriptor", "it names no extent, and must name the one that it stands in", offset)
    for number, extent in enumerate(descriptor.extents):
        if extent.kind != "SPARSE" or number:
            what = f"it names the extent {number + 1} of type {extent.kind[:20]!r} in {extent.name[:200]!r}"
            match.find("external-extent", f"{what}: other files would be opened", offset)
        elif _leads_elsewhere(extent.name):
            match.find("external-extent", f"its extent is in {extent.name[:200]!r}, which is another place", offset)
        # capacity may be rounded up to a grain
        elif capacity and not extent.sectors <= capacity < extent.sectors + max(grain, 1):
            match.find("header", f"its extent has {extent.sectors} sectors, and the header says {capacity}", offset)


def complain(match: "Match", descriptor: Descriptor, offset: int) -> None:
    """Findings that hold for any descriptor."""
    for what in descriptor.wrong:
        match.find("descriptor", what, offset)
    for what in descriptor.odd:
        match.find("odd", what, offset)
    find_parent(match, descriptor.text, offset)
    cid = descriptor.value("parentCID")
    if cid and cid.lower() != "ffffffff":
        match.find("parent", f"parentCID is {cid[:40]!r}, and without a parent it is ffffffff", offset)
    for key in _OTHER_FILES:
        if descriptor.value(key):
            match.find("external-extent", f"{key} names the file {descriptor.value(key)[:200]!r}", offset)
    for key in descriptor.values:
        if key.startswith("encryption"):
            match.find("encrypted", f"it has the key {key[:60]!r}", offset)
            break


def find_parent(match: "Match", text: bytes, offset: int) -> None:
    """A finding if `text` names a parent, in whatever place: qemu takes it from a comment, too (vmdk_parent_open)."""
    at = text.lower().find(b"parentfilenamehint")
    if at >= 0:
        match.find("parent", f"it names a parent: {text[at : at + 200]!r}", offset + at)


def _leads_elsewhere(name: str) -> bool:
    return not name or name in (".", "..") or any(mark in name for mark in ("/", "\\", ":"))


def note(match: "Match", descriptor: Descriptor, offset: int) -> None:
    """Note what a person would want to know of a descriptor."""
    for key in ("version", "encoding", "CID", "parentCID", "createType", "ddb.adapterType", "ddb.virtualHWVersion"):
        if descriptor.value(key):
            match.note(key, descriptor.value(key), offset)
    for extent in descriptor.extents[:16]:
        match.note("extent", f"{extent.access} {extent.sectors} {extent.kind} {extent.name!r}", offset)
