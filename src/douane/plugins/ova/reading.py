"""One pass over an OVA: its descriptor, its disk, and all that is to be compared when it has ended."""

from __future__ import annotations

from douane.plugins.formats import member_names, ovf, ovf_document, ovf_manifest
from douane.plugins.formats.ova import DISK_ENDINGS
from douane_plugin import Reject

from .choice import Choice, choose
from .digests import Digests
from .disk_parts import DiskParts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from douane.plugins.formats.ovf_document import OvfDocument
    from douane.plugins.formats.tar_headers import Member

    from .archive import Archive

MOST_PROBED = 1 << 20
"""How many bytes are looked at for a descriptor in an archive that may be of any kind: well before
`image.unchanged()` would come too late."""

MOST_CERTIFICATE_BYTES = 256 << 10
_MOST_LISTED = 5


class Reading:
    """`wanted`: which disk, as :func:`choice.choose` takes it. `digests`: whether members are to be hashed, as the
    manifest demands; without, it is a file like any other, and so is the certificate without `signature`."""

    def __init__(
        self,
        archive: Archive,
        wanted: int | str | None,
        *,
        digests: bool,
        signature: bool,
        warn: Callable[[str, str], None],
    ) -> None:
        self._archive = archive
        self._members = archive.members()
        self._wanted = wanted
        self.warn = warn
        self._digests = Digests(wanted=digests)
        self._endings = (".ovf", *[".mf"] * digests, *[".cert"] * signature)
        self._descriptor = ""
        self.document: OvfDocument | None = None
        self.choice: Choice | None = None
        self.manifest_name = ""
        self.manifest: bytes | None = None
        """The manifest, byte for byte: it is what is signed."""
        self.certificate: bytes | None = None
        self._parts: DiskParts | None = None

    @property
    def disk_name(self) -> str:
        """The normal name of the disk's member."""
        return self._parts.name if self._parts else ""

    # the beginning

    def find_descriptor(self, *, is_ova: bool) -> bool:
        """Read up to the descriptor, and choose the disk; False if the archive is no OVA.

        `is_ova`: it was declared as one. Raises Reject, also where a disk comes before the descriptor.
        """
        self._archive.strict = is_ova
        for member in self._members:
            if self._take(member):
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
                    f"{member_names.shown(member.name)} stands in the archive before any OVF descriptor that says what "
                    "it is; pack the appliance with the descriptor (.ovf) first",
                )
            if member.end > MOST_PROBED and not is_ova:
                return False
            self._hash(member)
        if is_ova:
            raise _no_descriptor()
        return False

    def seek_descriptor(self, *, is_ova: bool) -> bool:
        """The same in an archive that can be sought in, wherever the descriptor stands; a new one reads the disk."""
        self._archive.strict = is_ova
        disk = False
        for member in self._members:
            disk = disk or (member.kind == "file" and _is_disk(member.name))
            if member.name.lower().endswith(".ovf") and self._take(member):
                self._archive.strict = True
                self._archive.raise_fault()
                return True
        if is_ova or disk:
            raise _no_descriptor()
        return False

    def begin_with(self, other: Reading) -> None:
        """Take the descriptor that `other` has found in the same archive."""
        self._archive.strict = True
        self._descriptor, self.document, self.choice = other._descriptor, other.document, other.choice
        self._parts = other._parts

    # what comes after it

    def disk(self) -> Iterator[memoryview]:
        """Yield the bytes of the disk's file as they are in the archive, and read to its end. Raises Reject."""
        assert self._parts is not None  # the descriptor comes first
        for member in self._members:
            if self._take(member) or member.kind != "file":
                continue
            name = member_names.normal(member.name)
            if self._parts.take(name, member.size):
                yield from self._digests.hashed(name, self._archive.data(member))
                # Who was given the last piece holds it until the next one, and the image may go on for long.
                yield memoryview(b"")
            else:
                self._hash(member)

    def _hash(self, member: Member) -> None:
        name = member_names.normal(member.name)
        if self._digests.algorithms_for(name):
            for _ in self._digests.hashed(name, self._archive.data(member)):
                pass

    def _take(self, member: Member) -> bool:
        """True if `member` is a descriptor, a manifest or a certificate, which has been read then."""
        lower = member.name.lower()
        if member.kind != "file" or not lower.endswith(self._endings):
            return False
        if lower.endswith(".ovf"):
            data = self._archive.text(member, ovf_document.MAX_BYTES, "ova-descriptor")
            self._take_descriptor(member_names.normal(member.name), data)
        else:
            try:
                data = self._take_text(member, manifest=lower.endswith(".mf"))
            except Reject as fault:
                if self._archive.strict:
                    raise
                self._archive.fault = self._archive.fault or fault  # other archives may have as many as they like
                return False
        for _ in self._digests.hashed(member_names.normal(member.name), [memoryview(data)]):
            pass
        self._take_lines()
        return True

    def _take_text(self, member: Member, *, manifest: bool) -> bytes:
        """Keep a manifest or a certificate."""
        code, what = ("ova-manifest", "manifest") if manifest else ("ova-signature", "certificate")
        most = ovf_manifest.MAX_BYTES if manifest else MOST_CERTIFICATE_BYTES
        if (self.manifest if manifest else self.certificate) is not None:
            raise Reject(code, f"the archive has more than one {what}; pack the appliance again")
        data = self._archive.text(member, most, code)
        if manifest:
            self.manifest_name, self.manifest = member_names.normal(member.name), data
        else:
            self.certificate = data
        return data

    def _take_descriptor(self, name: str, data: bytes) -> None:
        if self._descriptor and self._descriptor != name:
            raise Reject(
                "ova-descriptor",
                f"the archive has more than one OVF descriptor: {member_names.shown(self._descriptor)} and "
                f"{member_names.shown(name)}; pack one appliance",
            )
        if self.document is not None:
            return
        self._descriptor = name
        try:
            self.document = ovf_document.parse(data)
        except ovf_document.OvfError as error:
            code = "ova-xml" if error.code == "xml" else "ova-descriptor"
            why = str(error).partition(": ")[0] if error.code == "xml" else str(error)  # without the parser's own words
            raise Reject(
                code, f"the OVF descriptor {member_names.shown(name)} cannot be used: {why}; export it again"
            ) from error
        self.choice = choose(self.document, self._wanted)
        self._parts = DiskParts(self.choice.file, self._folder)

    @property
    def _folder(self) -> str:
        """Files are named relative to the descriptor (DSP0243, 7.1): of ``vm/vm.ovf`` they are in ``vm/``."""
        return self._descriptor.rpartition("/")[0]

    def _take_lines(self) -> None:
        """The manifest names files relative to the descriptor, and may stand before it."""
        if self.manifest is None or self.document is None or self._digests.has_manifest:
            return
        try:
            self._digests.take_manifest(ovf_manifest.parse(self.manifest), self._folder)
        except ovf_manifest.ManifestError as error:
            raise Reject("ova-manifest", f"the manifest cannot be used: {error}; export the appliance again") from error

    # the end

    def end(self) -> None:
        """All has gone by: is all of it there? Raises Reject."""
        assert self._parts is not None and self.document is not None
        self._parts.end()
        if self._parts.size_differs:
            self.warn(
                "ova-file-size",
                f"the disk {member_names.shown(self.disk_name)} has {self._parts.size} bytes, and the descriptor says "
                f"{self._parts.file.size}",
            )
        missing = [file.href for file in self.document.files.values() if not self._is_there(file)]
        if missing:
            names = ", ".join(map(member_names.shown, missing[:_MOST_LISTED]))
            self.warn("ova-file-missing", f"of the files that the descriptor names, these are not there: {names}")

    def _is_there(self, file: ovf_document.File) -> bool:
        ending = ".000000000" if file.chunk_size else ""
        names = (member_names.normal(f"{self._folder}/{href}") + ending for href in ovf.hrefs(file))
        return any(name in self._archive.sizes for name in names)

    def compare_digests(self) -> str:
        """Compare all members with the manifest; return the algorithms. Raises Reject."""
        return self._digests.compare(self._archive.sizes)

    def left_out(self) -> list[str]:
        """What the manifest should list and does not: of the descriptor and the disk."""
        assert self._parts is not None
        return self._digests.left_out([self._descriptor, *self._parts.members])


def _is_disk(name: str) -> bool:
    """True if a member is named like the disk of an appliance, or a part of it."""
    lower = name.lower()
    base, _, digits = lower.rpartition(".")
    if len(digits) == 9 and digits.isascii() and digits.isdigit():
        lower = base
    return lower.removesuffix(".gz").endswith(DISK_ENDINGS)


def _no_descriptor() -> Reject:
    return Reject(
        "ova-descriptor", "the archive has no OVF descriptor (.ovf) that says which disk it holds; export it again"
    )
