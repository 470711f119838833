"""VMDK: the descriptor, a text that lists the extents of a disk ("Virtual Disk Format 5.0", VMware, "The Descriptor
File").

A descriptor is in a file of its own, or embedded in a sparse extent. Programs differ in what they take for text, where
they stop and how they search a key (qemu with strstr, block/vmdk.c: vmdk_parse_description).
"""

MAX_BYTES = (1 << 20) - 1
"""The bytes of a descriptor that qemu reads (vmdk_read_desc)."""

CID_DIGITS = 8
"""Digits of a CID. When qemu writes a shorter CID (%x), fewer than so many bytes of the old text remain after the NUL
(block/vmdk.c: vmdk_write_cid): in 1 of 256 images that qemu-img convert makes."""

_CONTROLS = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"
_ACCESS = ("RW", "RDONLY", "NOACCESS")
_ONCE = ("createtype", "cid", "parentcid", "version", "encoding")


class Extent:
    """A line about an extent: `access`, length in `sectors`, `kind` (``SPARSE``), `name` as written or empty."""

    __slots__ = ("access", "kind", "name", "sectors")

    def __init__(self, access: str, sectors: int, kind: str, name: str) -> None:
        self.access, self.sectors, self.kind, self.name = access, sectors, kind, name


class Descriptor:
    """A descriptor: `values` by key in lower case, the first of several; the `extents`; the `faults` of the `text`, and
    the `oddities` that no program trips over."""

    def __init__(self, data: bytes) -> None:
        self.values: dict[str, str] = {}
        self.extents: list[Extent] = []
        self.faults: list[str] = []
        self.oddities: list[str] = []
        text, _, rest = data.partition(b"\0")
        rest = rest.rstrip(b"\0")
        if rest and not (len(rest) < CID_DIGITS and text.endswith(rest)):
            self.faults.append(f"bytes follow the NUL at {len(text)}, where some programs stop and others do not")
        if text.strip(b" \t\r\n")[:1] != text[:1]:
            self.faults.append(f"it begins with {text[:8]!r}")
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
            self._add_fault(f"a line has control characters: {line[:60]!r}")
        bare = line.strip()
        if not bare.isascii():
            # in the name of an extent or a comment no parser trips over it
            outside = b"".join(bare.split(b'"')[::2])
            if bare[:1] != b"#" and not outside.isascii():
                self._add_fault(f"a line has bytes that are not ASCII: {line[:60]!r}")
            elif len(self.oddities) < 4:
                self.oddities.append(f"a line has bytes that are not ASCII: {line[:60]!r}")
        if not bare or bare.startswith(b"#"):
            return
        line_text = bare.decode("latin-1")
        words = [word.decode("latin-1") for word in bare.split(None, 3)]  # str.split splits at more blanks
        if words[0].upper() in _ACCESS:
            self._add_extent(line_text, words)
            return
        key, equals, value = line_text.partition("=")
        key = key.strip().lower()
        if not equals:
            if len(self.oddities) < 4:
                self.oddities.append(f"a line is neither an extent nor a key with a value: {line_text[:60]!r}")
        elif key in self.values:
            if key in _ONCE:
                self._add_fault(f"{key} appears more than once")
        elif len(self.values) < 200:
            self.values[key] = value.strip().strip('"')

    def _add_extent(self, line: str, words: "list[str]") -> None:
        number = words[1] if len(words) > 1 else ""
        if not (number.isascii() and number.isdigit() and len(number) < 20 and len(words) > 2):
            self._add_fault(f"the line of an extent is malformed: {line[:60]!r}")
            return
        rest = words[3] if len(words) > 3 else ""
        name = rest.split('"')[1] if rest.count('"') >= 2 else rest
        if len(self.extents) < 4096:
            self.extents.append(Extent(words[0].upper(), int(number), words[2].upper(), name))

    def _add_fault(self, what: str) -> None:
        if len(self.faults) < 8 and what not in self.faults:
            self.faults.append(what)
