"""An appliance in the order of its archive: the descriptor, the disk, and what is to be verified at the end."""

from __future__ import annotations

from douane.plugins.formats import member_names, ovf_document, ovf_manifest
from douane.plugins.formats.ova import DISK_ENDINGS
from douane.plugins.formats.ovf_references import APPLE_DOUBLE, References, may_be_apple_double, split_chunk
from douane_plugin import Reject

from .choice import Choice, choose
from .digests import Digests
from .disk_parts import DiskParts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from douane.plugins.formats.ovf_document import OvfDocument
    from douane.plugins.formats.tar_blocks import TarMember

    from .archive import Archive

MAX_PROBED_BYTES = 1 << 20
"""Bytes that are searched for a descriptor in an archive that may be of any kind: well before
`image.unchanged()` would come too late."""

MAX_CERTIFICATE_BYTES = 256 << 10
_MAX_LISTED = 5


class Appliance:
    """The members of `archive` as far as they matter.

    `selector` says which disk, see :func:`choice.choose`. With `digests`, members are hashed, as the manifest demands;
    without, a manifest is a member like any other. The same holds for `signature` and the certificate.
    """

    def __init__(
        self,
        archive: Archive,
        selector: int | str | None,
        *,
        digests: bool,
        signature: bool,
        warn: Callable[[str, str], None],
    ) -> None:
        self._archive = archive
        self._members = self._without_attributes()
        self._selector = selector
        self.warn = warn
        self._digests = Digests(enabled=digests)
        self._endings = (".ovf", *[".mf"] * digests, *[".cert"] * signature)
        self._descriptor = ""
        self.document: OvfDocument | None = None
        self.choice: Choice | None = None
        self.manifest_name = ""
        self.manifest: bytes | None = None
        """The manifest, byte for byte, as it was signed."""
        self.certificate: bytes | None = None
        self._parts: DiskParts | None = None
        self._attributes: list[str] = []

    @property
    def disk_name(self) -> str:
        """The normal name of the disk's member."""
        return self._parts.name if self._parts else ""

    def _without_attributes(self) -> Iterator[TarMember]:
        """Yield all members but those in which macOS packs the attributes of others."""
        for member in self._archive.members():
            if self._has_attributes(member):
                self._attributes.append(member.name)
                self._hash(member)
            else:
                yield member

    def _has_attributes(self, member: TarMember) -> bool:
        if member.kind != "file" or member.extents is not None or not may_be_apple_double(member.name):
            return False
        return self._archive.begin(member, len(APPLE_DOUBLE)) == APPLE_DOUBLE

    # the beginning

    def find_descriptor(self, *, declared: bool) -> bool:
        """Read up to the descriptor, and choose the disk; False if the archive is no OVA.

        `declared`: the sender says that it is one. Raises Reject, also where a disk precedes the descriptor.
        """
        self._archive.strict = declared
        for member in self._members:
            if self._read_text(member):
                if self.document is not None:
                    self._archive.strict = True
                    self._archive.raise_fault()
                    return True
                continue
            if member.kind != "file":
                continue
            if _is_disk(member.name):
                raise self._archive.fault or Reject(
                    "ova-order",
                    f"{member_names.quoted(member.name)} precedes the OVF descriptor; pack the appliance with the "
                    "descriptor (.ovf) first",
                )
            if member.end > MAX_PROBED_BYTES and not declared:
                return False
            self._hash(member)
        if declared:
            raise _no_descriptor()
        return False

    def seek_descriptor(self, *, declared: bool) -> bool:
        """The same in a seekable archive, wherever the descriptor is. Read the disk with another instance."""
        self._archive.strict = declared
        disk = False
        for member in self._members:
            disk = disk or (member.kind == "file" and _is_disk(member.name))
            if member.name.lower().endswith(".ovf") and self._read_text(member):
                self._archive.strict = True
                self._archive.raise_fault()
                return True
        if declared or disk:
            raise _no_descriptor()
        return False

    def take_descriptor_of(self, scout: Appliance) -> None:
        """Take the descriptor that `scout` has read from the same archive."""
        self._archive.strict = True
        self._descriptor, self.document, self.choice = scout._descriptor, scout.document, scout.choice
        self._parts = scout._parts

    # what follows the descriptor

    def disk(self) -> Iterator[memoryview]:
        """Yield the bytes of the disk's file as they are in the archive, and read to its end. Raises Reject."""
        assert self._parts is not None  # the descriptor comes first
        for member in self._members:
            if self._read_text(member) or member.kind != "file":
                continue
            name = member_names.normal(member.name)
            if self._parts.take(name, member.size):
                yield from self._digests.hashed(name, self._archive.data(member))
                # The consumer holds the last piece until the next one, and the image may continue for long.
                yield memoryview(b"")
            else:
                self._hash(member)

    def _hash(self, member: TarMember) -> None:
        name = member_names.normal(member.name)
        if self._digests.algorithms_for(name):
            for _ in self._digests.hashed(name, self._archive.data(member)):
                pass

    def _read_text(self, member: TarMember) -> bool:
        """Read `member` if it is a descriptor, a manifest or a certificate; True if so."""
        lower = member.name.lower()
        if member.kind != "file" or not lower.endswith(self._endings):
            return False
        if lower.endswith(".ovf"):
            data = self._archive.text(member, ovf_document.MAX_BYTES, "ova-descriptor")
            self._use_descriptor(member_names.normal(member.name), data)
        else:
            try:
                data = self._keep(member, manifest=lower.endswith(".mf"))
            except Reject as fault:
                if self._archive.strict:
                    raise
                self._archive.fault = self._archive.fault or fault  # an archive that is no appliance may have several
                return False
        for _ in self._digests.hashed(member_names.normal(member.name), [memoryview(data)]):
            pass
        self._use_manifest()
        return True

    def _keep(self, member: TarMember, *, manifest: bool) -> bytes:
        """Read and keep a manifest or a certificate."""
        code, kind = ("ova-manifest", "manifest") if manifest else ("ova-signature", "certificate")
        max_bytes = ovf_manifest.MAX_BYTES if manifest else MAX_CERTIFICATE_BYTES
        if (self.manifest if manifest else self.certificate) is not None:
            raise Reject(code, f"the archive has more than one {kind}; pack it with one")
        data = self._archive.text(member, max_bytes, code)
        if manifest:
            self.manifest_name, self.manifest = member_names.normal(member.name), data
        else:
            self.certificate = data
        return data

    def _use_descriptor(self, name: str, data: bytes) -> None:
        if self._descriptor and self._descriptor != name:
            raise Reject(
                "ova-descriptor",
                f"the archive has more than one OVF descriptor: {member_names.quoted(self._descriptor)} and "
                f"{member_names.quoted(name)}; pack one appliance",
            )
        if self.document is not None:
            return
        self._descriptor = name
        try:
            self.document = ovf_document.parse(data)
        except ovf_document.OvfError as error:
            code = "ova-xml" if error.code == "xml" else "ova-descriptor"
            detail = str(error).partition(": ")[0] if error.code == "xml" else str(error)  # without the parser's words
            raise Reject(
                code, f"the OVF descriptor {member_names.quoted(name)} cannot be used: {detail}; export it again"
            ) from error
        self.choice = choose(self.document, self._selector)
        self._parts = DiskParts(self.choice.file, self._references)

    @property
    def _references(self) -> References:
        return References(self._descriptor)

    def _use_manifest(self) -> None:
        """Parse the manifest once the descriptor is there: its names are relative to the descriptor's folder."""
        if self.manifest is None or self.document is None or self._digests.has_manifest:
            return
        try:
            lines = ovf_manifest.parse(self.manifest)
            member_lines = [line for line in lines if self._references.member(line.name) != self.manifest_name]
            self._digests.use_manifest(member_lines, self._references)
        except ovf_manifest.ManifestError as error:
            raise Reject("ova-manifest", f"the manifest cannot be used: {error}; export the appliance again") from error
        if len(member_lines) < len(lines):
            self.warn("ova-manifest-itself", "the manifest lists itself; no file can hold its own digest")

    # the end

    def finish(self) -> None:
        """Check that the disk is complete and names are unique, and warn of files that are missing. Raises Reject."""
        assert self._parts is not None and self.document is not None
        self._check_names(self.document)
        self._parts.finish()
        if self._parts.size_differs:
            self.warn(
                "ova-file-size",
                f"the disk {member_names.quoted(self.disk_name)} has {self._parts.size} bytes, but the descriptor says "
                f"{self._parts.file.size}",
            )
        missing = [file.href for file in self.document.files.values() if not self._has(file)]
        if missing:
            names = ", ".join(map(member_names.quoted, missing[:_MAX_LISTED]))
            self.warn("ova-file-missing", f"files that the descriptor names are missing: {names}")

    def _check_names(self, document: OvfDocument) -> None:
        """Raise Reject if two members have a name that something refers to; warn of the members that were ignored."""
        files, listed = document.files.values(), self._digests.listed
        if twice := self._references.referred(self._archive.twice, files, listed):
            raise Reject(
                "ova-member-twice",
                f"the archive has the member {member_names.quoted(twice[0])} twice; pack the appliance again",
            )
        if self._attributes:
            names = ", ".join(map(member_names.quoted, self._attributes[:_MAX_LISTED]))
            self.warn(
                "ova-apple-double", f"attributes of other files, which macOS packs beside them, are ignored: {names}"
            )

    def _has(self, file: ovf_document.File) -> bool:
        return any(name in self._archive.sizes for name in self._references.first_names(file))

    def compare_digests(self) -> str:
        """Compare all members with the manifest; return the algorithms. Raises Reject."""
        return self._digests.compare(self._archive.sizes)

    def missing_in_manifest(self) -> list[str]:
        """The names, of the descriptor and the disk, that the manifest does not list."""
        assert self._parts is not None
        return self._digests.missing([self._descriptor, *self._parts.members])


def _is_disk(name: str) -> bool:
    """True if a member is named like the disk of an appliance, or like a chunk of a disk."""
    lower, _ = split_chunk(name.lower())
    return lower.removesuffix(".gz").endswith(DISK_ENDINGS)


def _no_descriptor() -> Reject:
    return Reject(
        "ova-descriptor",
        "the archive has no OVF descriptor (.ovf) that says which disk it holds; pack the descriptor first, or upload "
        "the disk alone",
    )
