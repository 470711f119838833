"""OVAs: tar archives with a descriptor, which must agree with the other members (DMTF DSP0243, 5 and 7.1)."""

from . import member_names, ovf, ovf_document, ovf_manifest
from .ovf_references import References, split_chunk
from .requests import Assembled
from .tar_contents import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .match import InnerExamination, Match
    from .ovf_document import Disk, File, OvfDocument
    from .ovf_manifest import DigestLine
    from .tar_blocks import TarMember

DISK_ENDINGS = (".vmdk", ".vhd", ".vhdx", ".vdi", ".qcow2", ".qcow", ".img", ".raw", ".iso", ".hdd")
"""Names of disks: an archive without descriptor that has such a member may be taken for an appliance."""

_ALONE = "pack only the descriptor, its files, the manifest and the certificate"
_IN_ORDER = "pack the parts in their order"
_NO_DESCRIPTOR = "pack the descriptor (.ovf) with it, or upload the disk alone"
_NO_DISK = "export the appliance with its disks"
_EXPORT = "export it again"
_NO_FILE = "pack all files that the descriptor names, beside it"
"""What helps."""

_MAX_LISTED = 16


class Package:
    """The members, as they go by. :meth:`judge` adds the findings about all of them together to `match`."""

    def __init__(self, match: "Match") -> None:
        self.match = match
        self.looked_into = 0
        self.missed = 0
        """How many files were not examined."""
        self._sizes: dict[str, int] = {}
        self._formats: dict[str, list[str]] = {}
        self._disk_sizes: dict[str, int] = {}
        """Bytes of the disks in members, as their own headers state them."""
        self._document: OvfDocument | None = None
        self._references = References("")
        self._twice: dict[str, int] = {}
        self._attributes: list[str] = []
        self._descriptors: list[str] = []
        self._manifests: list[str] = []
        self._lines: list[DigestLine] = []
        self._parts: dict[str, tuple[InnerExamination, int]] = {}
        self._disk = ""

    def add(self, name: str, size: int) -> None:
        """Add a file by its normal name and its size in bytes."""
        if len(name) <= member_names.MAX_NAME_BYTES and len(self._sizes) < ovf_document.MAX_ENTRIES:
            self._sizes[name] = size
        lower = name.lower()
        if lower.endswith(".ovf"):
            self._descriptors = [*self._descriptors[:1], name]
            self._references = References(self._descriptors[0])
            self.match.name = "ova"
            if len(self._sizes) > 1 + len(self._attributes):
                self.match.find("odd", f"the descriptor {member_names.quoted(name)} is not the first member")
        elif lower.endswith(".mf"):
            self._manifests = [*self._manifests[:1], name]
        elif lower.endswith(".cert"):
            self.match.note("certificate", f"{name}, {size} bytes; its signature is not checked here")

    def add_attributes(self, name: str, size: int) -> None:
        """Add a file with attributes of another one, as macOS writes them: it is neither a descriptor nor a disk."""
        if len(self._sizes) < ovf_document.MAX_ENTRIES:
            self._sizes[name] = size
            self._attributes.append(name)

    def add_again(self, name: str, offset: int) -> None:
        """Add a file with the name of an earlier one."""
        if name in self._sizes or not self._twice:
            self._twice[name] = offset

    def max_text_bytes(self, name: str) -> "int | None":
        """The largest size of a file that :meth:`take_text` needs, a descriptor or a manifest; None for others."""
        if name.lower().endswith(".ovf"):
            return ovf_document.MAX_BYTES
        return ovf_manifest.MAX_BYTES if name.lower().endswith(".mf") else None

    def take_text(self, name: str, data: bytes, *, too_long: bool) -> None:
        """Take the content of a descriptor or a manifest."""
        descriptor = name.lower().endswith(".ovf")
        if too_long:
            self._find_unusable(name, "it is too long")
        elif descriptor and len(self._descriptors) == 1:
            try:
                self._document = ovf_document.parse(data)
            except ovf_document.OvfError as error:
                self._find_unusable(name, str(error), error.code)
        elif not descriptor and len(self._manifests) == 1:
            try:
                self._lines += ovf_manifest.parse(data)
            except ovf_manifest.ManifestError as error:
                self._find_unusable(name, str(error))

    def _find_unusable(self, name: str, reason: str, code: str = "") -> None:
        kind, default = ("OVF descriptor", "ovf") if name.lower().endswith(".ovf") else ("manifest", "manifest")
        self.match.find(code or default, f"its {kind} {member_names.quoted(name)} cannot be used: {reason}")

    def take(self, name: str, inner: "InnerExamination | None") -> None:
        """Take the examination of a member."""
        if inner is None:
            return
        self._formats[name] = [match.name for match in inner.matches]
        if inner.virtual_size is not None:
            self._disk_sizes[name] = inner.virtual_size
        if any(match.kind == "disk" for match in inner.matches) or name.lower().endswith(DISK_ENDINGS):
            self._disk = self._disk or name
        if not inner.matches and not inner.findings and self.match.inner and self.match.inner[-1][1] is inner:
            self.match.inner.pop()  # a text, or a raw disk: nothing to report

    # disks in pieces

    def continues(self, name: str) -> bool:
        """True for a chunk of a file of which another chunk has been examined."""
        base, number = split_chunk(name)
        return number is not None and base in self._parts

    def is_part(self, name: str) -> bool:
        """True for a chunk of a file, ``disk.vmdk.000000003`` (DSP0243, 7.1)."""
        base, number = split_chunk(name)
        if number is None:
            return False
        if base in self._parts or self._document is None:
            return True
        files = self._document.files.values()
        return any(file.chunk_size and base in self._references.names(file) for file in files)

    def read_part(self, name: str, member: "TarMember") -> "Generator[Any, Any, None]":
        """Examine a chunk as the continuation of the chunk before."""
        base, number = split_chunk(name)
        inner, expected = self._parts.get(base) or ((yield Assembled(None)), 0)
        self.looked_into += not expected
        if number != expected:
            self.match.find(
                "out-of-order", f"the part {member_names.quoted(name)} is in place of part {expected}", help=_IN_ORDER
            )
            return
        self._parts[base] = (inner, expected + 1)
        yield from show(inner, member.data_offset, member.stored, name)

    # all together

    def judge(self) -> None:
        """Judge all members together."""
        for base, (inner, _) in self._parts.items():
            inner.finish()
            self.match.inner.append((base, inner))
            self.take(base, inner)
        self._judge_manifest()
        self._judge_names()
        if not self._descriptors:
            if self._disk or self._manifests:
                name = member_names.quoted(self._disk or self._manifests[0])
                self.match.find("ovf", f"it holds {name}, but no OVF descriptor for it", help=_NO_DESCRIPTOR)
            return
        if len(self._descriptors) > 1:
            names = " and ".join(member_names.quoted(name) for name in self._descriptors)
            self.match.find("ovf", f"it has more than one OVF descriptor: {names}", help="pack one appliance")
        if len(self._sizes) >= ovf_document.MAX_ENTRIES:
            self.match.find("archive", f"it has {len(self._sizes)} members or more", help=_ALONE)
        if self._document is not None:
            self._judge_document(self._document)
        elif not any(finding.code in ("ovf", "xml") for finding in self.match.findings):
            self.match.find("ovf", "its OVF descriptor is a sparse file", help="pack it again, without --sparse")
        if self.missed:
            self.match.find("archive", f"it has so many members that {self.missed} were not examined", help=_ALONE)

    def _judge_names(self) -> None:
        """Add a finding for each name that two members have, if it matters which of them a program takes."""
        twice = list(self._twice)
        if self._descriptors:
            files = self._document.files.values() if self._document is not None else ()
            twice = self._references.referred(twice, files, (line.name for line in self._lines))
        for name in twice[:_MAX_LISTED]:
            self.match.find("member-twice", f"{member_names.quoted(name)} is there twice", self._twice[name])
        if self._attributes:
            names = ", ".join(map(member_names.quoted, self._attributes[:_MAX_LISTED]))
            self.match.find("odd", f"attributes of other files, which macOS packs beside them, are ignored: {names}")

    def _judge_manifest(self) -> None:
        if len(self._manifests) > 1:
            self.match.find("manifest", "it has more than one manifest")
        listed = set()
        for line in self._lines:
            name = self._references.member(line.name)
            listed.add(name)
            if name == self._manifests[0]:
                self.match.find("odd", "the manifest lists itself; no file can hold its own digest")
            elif name not in self._sizes:
                self.match.find("manifest", f"the manifest lists {member_names.quoted(line.name)}, which is missing")
        if self._manifests:
            digests = f"{len(self._lines)} digest{'' if len(self._lines) == 1 else 's'}"
            self.match.note("manifest", f"{self._manifests[0]}, {digests}, not compared here")
        if self._lines and self._document is not None:
            for file in self._document.files.values():
                present = [name for name in self._references.first_names(file) if name in self._sizes]
                if present and not listed.intersection(present):
                    self.match.find("odd", f"the manifest does not list {member_names.quoted(file.href)}")

    def _judge_document(self, document: "OvfDocument") -> None:
        match = self.match
        ovf.describe(match, document)
        for code, detail in ovf.faults(document):
            match.find(code, detail, help=_EXPORT if code == "version" else "")
        for file in {file.href: file for file in document.files.values()}.values():
            self._judge_file(file)
        disks = [disk for disk in document.disks if disk.file_ref]
        if not disks:
            match.find("ovf", "its OVF descriptor names no disk that is in a file", help=_NO_DISK)
        sizes = [self._size_of(disk, document.file_of(disk)) for disk in disks]
        if len(sizes) == 1:
            match.virtual_size = sizes[0]

    def _size_of(self, disk: "Disk", file: "File | None") -> "int | None":
        """Bytes of `disk` by its own header. The capacity in the descriptor is a claim, and only compared."""
        if disk.capacity is None:
            self.match.note("capacity", f"unknown: {disk.capacity_text}")
        elif disk.capacity > 1 << 62:
            self.match.find(
                "virtual-size", f"the disk {disk.id[:80]!r} has a capacity of {disk.capacity_text}", help=_EXPORT
            )
        names = self._references.names(file) if file else []
        if file and not file.compression and any("gzip" in self._formats.get(name, ()) for name in names):
            href = member_names.quoted(file.href)
            self.match.find("odd", f"the disk {href} is compressed with gzip, which the descriptor does not say")
        size = next((self._disk_sizes[name] for name in names if name in self._disk_sizes), None)
        if disk.capacity is None or size is None:
            return size
        # oVirt and VMware state whole units of 1 GiB or 1 MiB; qemu-img rounds a raw disk up to a sector
        unit = max(disk.capacity_unit, 512)
        if disk.capacity not in (size, -(-size // unit) * unit):
            text = f"the descriptor says that the disk {disk.id[:80]!r} has {disk.capacity} bytes, but it has {size}"
            self.match.find("capacity", text)
        return size

    def _judge_file(self, file: "File") -> None:
        href = member_names.quoted(file.href)
        present = [name for name in self._references.first_names(file) if name in self._sizes]
        if not present:
            self.match.find("ovf", f"the file {href}, which its descriptor names, is not in it", help=_NO_FILE)
            return
        if len(present) > 1:
            self.match.find("member-twice", f"two members could be the file {href}")
        name = present[0]
        if name in self._attributes:
            self.match.find("ovf", f"the file {href} has attributes of another file, as macOS packs them, and no disk")
        size = self._sizes[name]
        if file.chunk_size:
            name = name[:-10]
            size = self._judge_chunks(file, name)
        if file.size is not None and file.size != size:
            self.match.find("odd", f"the file {href} has {size} bytes, but the descriptor says {file.size}")
        formats = self._formats.get(name)
        if file.compression == "gzip" and formats is not None and "gzip" not in formats:
            self.match.find("ovf", f"the file {href} should be compressed, and is not")

    def _judge_chunks(self, file: "File", name: str) -> int:
        """Judge the chunks of `file`; return their bytes together."""
        sizes: list[int] = []
        while (size := self._sizes.get(f"{name}.{len(sizes):09}")) is not None:
            sizes.append(size)
        href = member_names.quoted(file.href)
        count = -(-(file.size or 0) // (file.chunk_size or 1))
        if len(sizes) < count:
            self.match.find("ovf", f"{href} has {count} chunks, and chunk {len(sizes)} is not in the archive")
        elif any(size != file.chunk_size for size in sizes[:-1]) or sizes[-1] > (file.chunk_size or 0):
            self.match.find("odd", f"the chunks of {href} are not of {file.chunk_size} bytes")
        return sum(sizes)
