"""The transforms `ova` and `ova-any-order`: extract the disk from a virtual appliance; other images pass unchanged.

`archive` reads the members of the tar archive, `appliance` finds the descriptor, the disk and what is to be verified
among them, `choice` and `disk_parts` say which members are the disk, `verification` judges the manifest (`digests`) and
its signature (`certificate`, `trust`), and `hardware` derives properties from the descriptor.
"""

from __future__ import annotations

from itertools import chain

from douane.plugins._byte_reader import ByteReader
from douane.plugins._expansion import DEFAULT_MAX, bounded
from douane.plugins._literal import Literal
from douane.plugins.formats import tar_headers
from douane.plugins.formats.member_names import quoted
from douane.plugins.formats.requests import HEAD_BYTES
from douane_plugin import Reject, Transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cryptography.x509 import Certificate

    from douane_plugin import Image

    from .appliance import Appliance
    from .file_reader import FileReader


_RECOGNISED_BYTES = 10
"""The header of gzip, without its optional fields (RFC 1952, 2.3)."""


class Ova(Transform):
    """Extract the disk from an OVA as it arrives: a tar archive with an OVF descriptor (DMTF DSP0243).

    ``use = "ova"``. An appliance is identified from its bytes; its name is ignored. The descriptor must precede the
    disk, as DSP0243 demands; ``use = "ova-any-order"`` accepts any order, but waits for the whole image first. Members
    may have long names (GNU, pax) and holes, be split into chunks, or be compressed with gzip; a compressed disk is
    unpacked, with a warning if the descriptor does not say so. Member names are compared, and never used as paths. All
    members but the disk are discarded.

    Configuration:

    ``disk`` (int or str, none)
        The disk to extract, if there are several: its index among the disks that are in a file, from 0; the id or the
        name of its file; or its own id. Without it, an appliance with several disks is refused, with their names.
    ``manifest`` (``"if-present"``, ``"required"`` or ``"ignore"``)
        Whether to compare the digests (SHA-1, SHA-256, SHA-512) in the manifest. Every member that it lists must be
        there and have its digest. An omitted descriptor or disk gives a warning; if the manifest is required or signed,
        a refusal.
    ``signature`` (``"if-present"``, ``"required"`` or ``"ignore"``)
        Whether to verify the signature of the manifest. The grant ``trust`` is a file with trusted certificates in PEM:
        of authorities, or of signers themselves. Without it, the signature is only compared with the certificate beside
        it, which anyone can make, and gives a warning. Needs the package cryptography.
    ``hardware`` (``"none"``, ``"openstack"`` or ``"cim"``)
        Properties of the image itself to set from the descriptor's hardware; the operator's ``may_set`` must list them.
        ``"openstack"``: ``hw_cpu_sockets``, ``hw_cpu_cores``, ``hw_cpu_threads``, ``hw_disk_bus``, ``hw_scsi_model``,
        ``hw_vif_model``, ``hw_firmware_type``, ``os_type``, ``os_distro``. ``"cim"``: ``cim_pasd_NAME``, the names of
        Glance's OVF flow.
    ``cim`` (list of str, none)
        The NAMEs; without it ``ProcessorArchitecture``, ``InstructionSet`` and ``InstructionSetExtensionName``.
    ``max_members`` (int, 1024)
        Members of the archive; more are refused.
    ``max_expansion`` (int, 500)
        Largest ratio of a disk that is compressed or has holes to the appliance, once the disk exceeds 1 GiB; a larger
        ratio is refused with ``compressed-bomb``.

    Properties: ``disk`` (the member's name), ``disks`` (how many there are), ``manifest`` (``"sha256 verified"``,
    ``"none"``, ``"ignored"``), ``signature`` (``"verified"``, ``"untrusted"``, ``"unchecked"``, ``"none"``,
    ``"ignored"``), ``signer``; and where they are known ``cpus``, ``memory_mib``, ``firmware``, ``disk_bus``,
    ``vif_model``, ``guest_os_id``.

    The codes of refusals begin with ``ova-``, and with ``compressed-`` where a compressed disk cannot be unpacked.
    """

    def __init__(
        self,
        disk: int | str | None = None,
        manifest: Literal["if-present", "required", "ignore"] = "if-present",
        signature: Literal["if-present", "required", "ignore"] = "if-present",
        hardware: Literal["none", "openstack", "cim"] = "none",
        cim: list[str] | None = None,
        max_members: int = 1024,
        max_expansion: int = DEFAULT_MAX,
    ) -> None:
        if isinstance(disk, int) and disk < 0:
            raise ValueError(f"'disk' is the index of a disk, counted from 0, or a name or an id, not {disk}")
        if max_members < 2:
            raise ValueError(f"'max_members' is a number of members, 2 or more, not {max_members}")
        if max_expansion < 1:
            raise ValueError(f"'max_expansion' is a ratio, 1 or more, not {max_expansion}")
        if signature == "required" and manifest == "ignore":
            raise ValueError("'signature' is of the manifest: it cannot be required where 'manifest' is ignored")
        self.disk = disk
        self.manifest = manifest
        self.signature = signature if manifest != "ignore" else "ignore"
        self.hardware = hardware
        self.cim = cim
        self.max_members = max_members
        self.max_expansion = max_expansion
        self.anchors = None if signature == "ignore" else self._load_trust()

    def _load_trust(self) -> list[Certificate] | None:
        """The certificates that the operator trusts; None without the grant."""
        try:
            file = self.grant("trust")
        except LookupError:
            if self.signature == "required":
                raise ValueError(
                    "'signature' is required, and nobody is trusted: grant a file with certificates in PEM, "
                    'grants = { trust = "file:vendors.pem" }'
                ) from None
            return None
        if self.signature == "ignore":
            raise ValueError(
                "'trust' is granted, but no signature is verified: a signature is of the manifest, and 'manifest' is "
                '"ignore"; leave out one of them, or ignore the signature as well'
            )
        from douane.plugins._x509 import load_anchors

        return load_anchors(file)

    def transform(self, image: Image) -> Iterator[Any]:
        """Yield views of the image where possible: a disk need not be copied. Raises Reject."""
        source = self._open(image)
        head = source.peek(HEAD_BYTES)
        if not tar_headers.begins_archive(head):
            if image.container_format == "ova" or _is_descriptor(head):
                raise _no_archive(head)
            image.unchanged()
            return
        appliance = self._read_descriptor(source, declared=image.container_format == "ova")
        if appliance is None:
            image.unchanged()
            return
        assert appliance.choice is not None
        self.log.info("extracting the disk %r", appliance.choice.file.href)
        image.becomes(container_format="bare")
        yield from bounded(self._read_disk(appliance), image, self.max_expansion)
        image.becomes(properties=self._finish(appliance))

    def _open(self, image: Image) -> ByteReader | FileReader:
        return ByteReader(image)

    def _read_descriptor(self, source: ByteReader | FileReader, *, declared: bool) -> Appliance | None:
        """Read up to the descriptor; None if there is none. `declared`: the sender says that the image is an OVA."""
        appliance = self._appliance(source)
        return appliance if appliance.find_descriptor(declared=declared) else None

    def _appliance(self, source: ByteReader | FileReader) -> Appliance:
        from .appliance import Appliance
        from .archive import Archive

        return Appliance(
            Archive(source, self.max_members, self.warn),
            self.disk,
            digests=self.manifest != "ignore",
            signature=self.signature != "ignore",
            warn=self.warn,
        )

    def _read_disk(self, appliance: Appliance) -> Iterator[bytes | memoryview]:
        """Yield the disk, unpacked if it is compressed with gzip, whether the descriptor says so or not."""
        from douane.plugins.formats.gzip import Gzip

        assert appliance.choice is not None
        file = appliance.choice.file
        pieces = appliance.disk()
        begin = _first_bytes(pieces)
        if Gzip().begins(begin):
            if file.compression != "gzip":
                self.warn(
                    "ova-compression-undeclared",
                    f"the disk {quoted(file.href)} is compressed with gzip, which the descriptor does not say; it is "
                    "unpacked",
                )
            yield from self._unpack(ByteReader(chain((begin,), pieces)))
            return
        if file.compression == "gzip" and begin:
            raise Reject(
                "ova-compression", "the disk should be compressed with gzip, and is not; export the appliance again"
            )
        yield begin
        yield from pieces

    def _unpack(self, packed: ByteReader) -> Iterator[bytes]:
        from douane.plugins.decompress.gzip import unpack
        from douane.plugins.decompress.limits import UnpackLimits

        yield from unpack(packed, UnpackLimits(window=1 << 15, members=1 << 22, trailing=False, warn=self.warn))

    def _finish(self, appliance: Appliance) -> dict[str, int | str]:
        """Verify the manifest and its signature, propose the hardware properties; return the own. Raises Reject."""
        from . import hardware
        from .verification import check_manifest, check_signature, printable

        assert appliance.choice is not None and appliance.document is not None
        appliance.finish()
        properties: dict[str, int | str] = {"disk": printable(appliance.disk_name), "disks": appliance.choice.count}
        signature = check_signature(appliance, self.signature, self.anchors, self.warn)
        signed = signature["signature"] == "verified"
        properties |= signature | {"manifest": check_manifest(appliance, self.manifest, self.warn, signed=signed)}
        machine = hardware.read(appliance.document, appliance.choice.disk.id)
        proposals: dict[str, int | str] = {}
        if self.hardware == "openstack":
            proposals = machine.openstack_properties()
        elif self.hardware == "cim":
            names = hardware.CIM_NAMES if self.cim is None else tuple(self.cim)
            proposals |= hardware.cim(appliance.document, names)
        for name, value in proposals.items():
            self.propose(name, value)
        return properties | machine.properties()


class OvaAnyOrder(Ova, Transform):
    """The same as :class:`Ova` for any order of the members. The whole image must arrive first.

    ``use = "ova-any-order"``. It needs room for a copy of the image in ``TMPDIR``.
    """

    reads = "random"

    def _open(self, image: Image) -> ByteReader | FileReader:
        from .file_reader import FileReader

        return FileReader(image.file)

    def _read_descriptor(self, source: ByteReader | FileReader, *, declared: bool) -> Appliance | None:
        scout = self._appliance(source)
        if not scout.seek_descriptor(declared=declared):
            return None
        source.skip(-source.offset)
        appliance = self._appliance(source)
        appliance.take_descriptor_of(scout)
        return appliance


def _first_bytes(pieces: Iterator[memoryview]) -> bytes:
    """The first bytes, enough to recognise gzip."""
    begin = b""
    for piece in pieces:
        begin += piece
        if len(begin) >= _RECOGNISED_BYTES:
            break
    return begin


def _is_descriptor(head: bytes) -> bool:
    from douane.plugins.formats.ovf import Ovf

    return Ovf().begins(head)


def _no_archive(head: bytes) -> Reject:
    if _is_descriptor(head):
        return Reject(
            "ova-descriptor-alone",
            "this is an OVF descriptor without its disk; pack both into one archive, the descriptor first "
            "(tar -cf appliance.ova appliance.ovf appliance-disk1.vmdk), and upload that",
        )
    return Reject(
        "ova-archive", "the image was declared as an OVA, but is no tar archive; declare what it is, or upload the OVA"
    )
