"""The transforms `ova` and `ova-any-order`: a virtual appliance becomes its disk; anything else passes as it is."""

from __future__ import annotations

from typing import Literal

from douane.plugins._byte_reader import ByteReader
from douane.plugins._expansion import DEFAULT_MAX, bounded
from douane.plugins.formats import tar_headers
from douane.plugins.formats.base import HEAD_BYTES
from douane_plugin import Reject, Transform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cryptography.x509 import Certificate

    from douane_plugin import Image

    from .file_bytes import FileBytes
    from .reading import Reading

_MOST_TRUST_BYTES = 4 << 20
_MOST_SHOWN = 1024


class Ova(Transform):
    """Take the disk out of an OVA: a tar archive with an OVF descriptor (DMTF DSP0243), as it arrives.

    ``use = "ova"``. An appliance is known by its bytes; its name is not looked at. The descriptor must stand before the
    disk, as DSP0243 demands; ``use = "ova-any-order"`` takes any order, but has to wait for all of the image first.
    Members may have GNU's or pax's long names, holes, and be cut into chunks or compressed with gzip, as the descriptor
    says. Names of members are compared, and used for nothing else; all but the disk are thrown away.

    Configuration:

    ``disk`` (int or str, none)
        Which disk, of an appliance with several: its place among those that are in a file, from 0; or the id or the
        name of its file, or its own id. Without, an appliance with several is refused, with their names.
    ``manifest`` (``"if-present"``, ``"required"`` or ``"ignore"``)
        Whether the digests (SHA-1, SHA-256, SHA-512) of a manifest are compared. Every member that it lists must be
        there and have its digest. If descriptor or disk are not listed, that is a warning; refused, if the manifest is
        required or signed.
    ``signature`` (``"if-present"``, ``"required"`` or ``"ignore"``)
        Whether the signature of the manifest is checked. Whom to trust stands in the grant ``trust``, a file with
        certificates in PEM: of authorities, or of signers themselves. Without that grant it is only compared with
        the certificate beside it, which says nothing of who made it, and warned of. It needs the package cryptography.
    ``hardware`` (``"none"``, ``"openstack"`` or ``"cim"``)
        Which properties of the image itself are set after what the descriptor says of the machine; the operator's
        ``may_set`` must list them. ``"openstack"``: ``hw_cpu_sockets``, ``hw_cpu_cores``, ``hw_cpu_threads``,
        ``hw_disk_bus``, ``hw_scsi_model``, ``hw_vif_model``, ``hw_firmware_type``, ``os_type``, ``os_distro``.
        ``"cim"``: ``cim_pasd_NAME``, as Glance's OVF flow called them.
    ``cim`` (list of str, none)
        Which NAMEs; without, ``ProcessorArchitecture``, ``InstructionSet`` and ``InstructionSetExtensionName``.
    ``max_members`` (int, 1024)
        Members; more are refused.
    ``max_expansion`` (int, 500)
        How many times more may come out than the appliance has, of a disk that is compressed or has holes, once it is
        more than 1 GiB; else refused with ``compressed-bomb``.

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
            raise ValueError(f"'disk' is the place of a disk, counted from 0, or a name or an id, not {disk}")
        if max_members < 2:
            raise ValueError(f"'max_members' is a number of members, 2 or more, not {max_members}")
        if max_expansion < 1:
            raise ValueError(f"'max_expansion' is a number of times, 1 or more, not {max_expansion}")
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
        """The certificates that the operator trusts; None if nobody said whom."""
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
                "'trust' is granted, and no signature would be checked, as a signature is of the manifest, and "
                "'manifest' is \"ignore\"; leave out one of them, or ignore the signature as well"
            )
        try:
            import cryptography.x509  # noqa: F401  # one that is there and broken must be told now, too

            from . import certificate
        except ImportError as error:
            raise ValueError(
                "signatures are to be checked, and the package cryptography is not installed for this plugin "
                f"({error}); install douane[signatures]"
            ) from error

        data = file.read(_MOST_TRUST_BYTES + 1)
        if len(data) > _MOST_TRUST_BYTES:
            raise ValueError(f"the file that is granted as 'trust' has more than {_MOST_TRUST_BYTES} bytes")
        try:
            return certificate.load(data.decode("utf-8", "replace"), most=_MOST_TRUST_BYTES)
        except Reject as fault:
            raise ValueError(f"the file that is granted as 'trust' has no certificates in PEM: {fault}") from fault

    def transform(self, image: Image) -> Iterator[Any]:
        """Yields views of the image where that is possible: a disk need not be copied. Raises Reject as told above."""
        source = self._open(image)
        head = source.peek(HEAD_BYTES)
        if not tar_headers.begins_archive(head):
            if image.container_format == "ova" or _is_descriptor(head):
                raise _no_archive(head)
            image.unchanged()
            return
        reading = self._begin(source, is_ova=image.container_format == "ova")
        if reading is None:
            image.unchanged()
            return
        assert reading.choice is not None
        self.log.info("taking the disk %r", reading.choice.file.href)
        image.becomes(container_format="bare")
        disk = self._unpack(reading) if reading.choice.file.compression == "gzip" else reading.disk()
        yield from bounded(disk, image, self.max_expansion)
        image.becomes(properties=self._end(reading))

    def _open(self, image: Image) -> ByteReader | FileBytes:
        return ByteReader(image)

    def _begin(self, source: ByteReader | FileBytes, *, is_ova: bool) -> Reading | None:
        """Read up to the descriptor; None if there is none."""
        reading = self._reading(source)
        return reading if reading.find_descriptor(is_ova=is_ova) else None

    def _reading(self, source: ByteReader | FileBytes) -> Reading:
        from .archive import Archive
        from .reading import Reading

        archive = Archive(source, self.max_members, self.warn)
        return Reading(
            archive,
            self.disk,
            digests=self.manifest != "ignore",
            signature=self.signature != "ignore",
            warn=self.warn,
        )

    def _unpack(self, reading: Reading) -> Iterator[bytes]:
        from douane.plugins.decompress.gzip import unpack
        from douane.plugins.decompress.limits import UnpackLimits
        from douane.plugins.formats.gzip import Gzip

        packed = ByteReader(reading.disk())
        head = packed.peek(HEAD_BYTES)
        if not head:
            return
        if not Gzip().begins(head):
            raise Reject(
                "ova-compression", "the disk should be compressed with gzip, and is not; export the appliance again"
            )
        yield from unpack(packed, UnpackLimits(window=1 << 15, members=1 << 22, trailing=False, warn=self.warn))

    # when all has gone by

    def _end(self, reading: Reading) -> dict[str, int | str]:
        """Compare what is to be compared, propose what is to be proposed; return the properties. Raises Reject."""
        from . import hardware

        assert reading.choice is not None and reading.document is not None
        reading.end()
        told: dict[str, int | str] = {"disk": _printable(reading.disk_name), "disks": reading.choice.count}
        told |= self._check_signature(reading)
        told["manifest"] = self._check_manifest(reading, signed=told["signature"] == "verified")
        found = hardware.read(reading.document, reading.choice.disk.id)
        proposed: dict[str, int | str] = {}
        if self.hardware == "openstack":
            proposed = found.openstack()
        elif self.hardware == "cim":
            names = hardware.CIM_NAMES if self.cim is None else tuple(self.cim)
            proposed |= hardware.cim(reading.document, names)
        for name, value in proposed.items():
            self.propose(name, value)
        return told | found.own()

    def _check_manifest(self, reading: Reading, *, signed: bool) -> str:
        if self.manifest == "ignore":
            return "ignored"
        if reading.manifest is None:
            if self.manifest == "required":
                raise Reject(
                    "ova-manifest",
                    "the appliance has no manifest (.mf), and this site demands one; export it with a manifest",
                )
            return "none"
        algorithms = reading.compare_digests()
        left_out = reading.left_out()
        if not left_out:
            return f"{algorithms} verified"
        names = ", ".join(map(_printable, left_out[:4]))
        if signed or self.manifest == "required":
            raise Reject("ova-manifest", f"the manifest does not list {names}; export the appliance again")
        self.warn("ova-manifest-incomplete", f"the manifest does not list {names}, which nobody can compare then")
        return f"{algorithms} verified, incomplete" if algorithms else "incomplete"

    def _check_signature(self, reading: Reading) -> dict[str, int | str]:
        if self.signature == "ignore":
            return {"signature": "ignored"}
        if reading.certificate is None:
            if self.signature == "required":
                raise Reject(
                    "ova-unsigned", "the appliance is not signed (.cert), and this site demands it; get it signed"
                )
            return {"signature": "none"}
        if reading.manifest is None:
            raise Reject("ova-signature", "the appliance has a certificate, and no manifest that it could have signed")
        if not _has_cryptography():
            self.warn("ova-signature-unchecked", "the appliance is signed; its signature was not checked")
            return {"signature": "unchecked"}
        from . import certificate, trust

        signature = certificate.parse(reading.certificate)
        certificate.check(signature, reading.manifest, reading.manifest_name)
        if self.anchors is None:
            self.warn(
                "ova-signature-untrusted",
                "the appliance is signed, and was not changed since; nobody here has said whom to trust to sign it",
            )
            return {"signature": "untrusted"}
        trust.trace(signature.certificates, self.anchors)
        if signature.algorithm == "sha1":
            self.warn("ova-signature-weak", "the appliance is signed by SHA-1, which can be forged; get it signed anew")
        signer = signature.certificates[0].subject.rfc4514_string()
        return {"signature": "verified", "signer": _printable(signer)}


class OvaAnyOrder(Ova, Transform):
    """The same as :class:`Ova` in whatever order the members stand: all of the image must have arrived first.

    ``use = "ova-any-order"``. It needs room for a copy of the image in ``TMPDIR``.
    """

    reads = "random"

    def _open(self, image: Image) -> ByteReader | FileBytes:
        from .file_bytes import FileBytes

        return FileBytes(image.file)

    def _begin(self, source: ByteReader | FileBytes, *, is_ova: bool) -> Reading | None:
        first = self._reading(source)
        if not first.seek_descriptor(is_ova=is_ova):
            return None
        source.skip(-source.offset)
        second = self._reading(source)
        second.begin_with(first)
        return second


def _has_cryptography() -> bool:
    from importlib.util import find_spec

    return find_spec("cryptography") is not None


def _is_descriptor(head: bytes) -> bool:
    if head[:1] not in (b"<", b"\xef", b"\xff", b"\xfe", b"\0", b" ", b"\t", b"\r", b"\n"):
        return False  # spares the import: these are what its first byte can be
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
        "ova-archive", "the image was declared as an OVA, and is no tar archive; declare what it is, or upload the OVA"
    )


def _printable(text: str) -> str:
    """A name from the archive as a property may have it: bytes that are no UTF-8 are shown as such."""
    whole = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in whole)[:_MOST_SHOWN]
