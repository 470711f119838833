"""The inspector `signature`: who signed the image, as it was received.

`openstack` verifies the image's own properties, `minisign`, `gpg` and `sigstore_bundle` verify signatures beside it,
`detached` tells them apart, and `check` is what they have in common.
"""

from __future__ import annotations

from douane.plugins._sums import ABSENT
from douane_plugin import Incomplete, Inspector, Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from douane_plugin import Image

    from .check import Check
    from .openstack import Certificates

_MAX_PROPERTY = 1024
_ATTESTATIONS = frozenset({"dsseEnvelope", "payloadType"})
"""Keys of what is not for this inspector, but for `provenance`."""

_ENDINGS = (".minisig", ".sig", ".asc", ".gpg", ".sign", ".sigstore.json", ".sigstore", ".bundle")


class Signature(Inspector):
    """Refuse an image that nobody whom this site trusts has signed.

    ``use = "signature"``. It reads the whole image once. A signature is of the image as it arrives: list it before any
    transform. All signatures that are there must be right, and one must be there unless ``required`` is false.

    Grants:

    ``certificates`` and ``trust``
        For OpenStack's signatures (``img_signature`` and three more properties): a folder of certificates that are
        named by UUID (``UUID.pem``, ``.crt``, ``.der``), or a file with the UUID on a line before each; and a file of
        the authorities that are trusted, in PEM.
    ``minisign``
        A file of public keys.
    ``gpg``
        A file of public keys of OpenPGP, with armor or without. It needs the program ``gpgv``.
    ``sigstore``
        A trusted root of Sigstore (``trusted_root.json``). It needs ``identity``, ``issuer`` and the package sigstore.
    ``signatures``
        The folder with the signatures beside the images, named as the image or its SHA-256 with ``.minisig``,
        ``.sig``, ``.asc``, ``.gpg``, ``.sign``, ``.sigstore.json``, ``.sigstore`` or ``.bundle`` at the end; or the
        file with the one signature.
    ``sums`` and ``sums_signature``
        A list of digests by name (``SHA256SUMS``), and its signature (``SHA256SUMS.gpg``), unless that is inside.

    Configuration:

    ``required`` (bool, true)
        Refuse an image without a signature.
    ``property`` (str, none)
        The image's property that holds a signature of minisign, OpenPGP or Sigstore: its text, or base64 of it.
    ``name`` (str, the image's name)
        The name of the image in the list and in the folder.
    ``identity``, ``issuer`` (str, none)
        Who may sign with Sigstore, and who vouches for that name.

    Properties: ``verified`` (the kinds: ``openstack``, ``minisign``, ``gpg``, ``sigstore``, ``gpg-sums``, ...; or
    ``none``), ``signer``.

    The codes of refusals begin with ``signature-`` and ``sums-``.
    """

    def __init__(
        self,
        required: bool = True,
        property: str | None = None,
        name: str | None = None,
        identity: str | None = None,
        issuer: str | None = None,
    ) -> None:
        from douane.plugins._signature_files import Beside, if_granted

        from .detached import Keys

        self.required, self.property, self.name = required, property, name
        self._certificates, self._anchors = self._load_trust()
        self._keys = Keys(self, identity, issuer)
        signatures = if_granted(lambda: self.grant("signatures"))
        self._signatures = None if signatures is None else Beside(signatures, "signatures", _ENDINGS, _ATTESTATIONS)
        self._sums, self._sums_signature = self._load_sums()
        sources = (property, self._signatures, self._sums)
        if self._keys and not any(source is not None for source in sources):
            raise ValueError(
                "keys are granted, but no signatures: grant 'signatures' or 'sums', or name a 'property' of the image"
            )
        if not self._keys and not self._certificates:
            raise ValueError(
                "nobody is trusted to sign: grant 'certificates' with 'trust', or 'minisign', 'gpg' or 'sigstore'"
            )

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject or Incomplete."""
        checks: list[Check] = []
        try:
            self._collect(image, checks)
            if not checks and not self._by_digest:
                return self._unsigned(self.name or image.name)
            digests = self._read(image, checks)
            for check in self._named_by_digest(digests):
                checks.append(check)
            if not checks:
                return self._unsigned(self.name or image.name)
            signers = [check.finish(digests) for check in checks]
        finally:
            for check in checks:
                check.close()
        kinds = dict.fromkeys(check.kind for check in checks)
        return {"verified": ", ".join(kinds), "signer": ", ".join(dict.fromkeys(signers))[:_MAX_PROPERTY]}

    def _collect(self, image: Image, checks: list[Check]) -> None:
        """Append to `checks` all signatures that are known before the image. Raises Reject or Incomplete."""
        name = self.name or image.name
        self._collect_openstack(image, checks)
        if self.property is not None and (value := image.properties.get(self.property)) is not None:
            checks.append(self._keys.check_value(value, f"the property {self.property}"))
        if self._signatures:
            for file, data in self._signatures.of_name(name):
                checks.append(self._keys.check(data, file))
        if self._sums is not None:
            self._collect_sums(name, checks)

    def _collect_sums(self, name: str | None, checks: list[Check]) -> None:
        from .detached import SignedSums

        sums = SignedSums(self._sums or b"", self._sums_signature, self._keys)
        try:
            checks.append(sums.check(name))
        except (Reject, Incomplete) as fault:
            # Not to be in a list is not to be signed, as for the other kinds.
            if fault.code not in ABSENT or (self.required and not checks):
                raise

    def _collect_openstack(self, image: Image, checks: list[Check]) -> None:
        from . import openstack

        if not openstack.is_signed(image.properties):
            return
        if self._certificates is None:
            self.warn(
                "signature-unchecked",
                "the image has a signature in its properties (img_signature), which this site does not verify",
            )
            return
        checks.append(openstack.OpenStackCheck(image.properties, self._certificates, self._anchors))

    @property
    def _by_digest(self) -> bool:
        return self._signatures is not None and self._signatures.has_digests

    def _read(self, image: Image, checks: list[Check]) -> dict[str, bytes]:
        """The digests of the image that the checks need, all taken while it passes."""
        import hashlib

        names = {name for check in checks for name in check.algorithms}
        if self._by_digest:
            names |= {"sha256"} | ({"blake2b"} if self._keys.minisign else set())
        hashes = {name: hashlib.new(name) for name in sorted(names)}
        consumers = [*(each.update for each in hashes.values()), *(check.update for check in checks if check.update)]
        for chunk in image:
            for consume in consumers:
                consume(chunk)
        return {name: digest.digest() for name, digest in hashes.items()}

    def _named_by_digest(self, digests: dict[str, bytes]) -> list[Check]:
        """The signatures in files that are named by the digest of the image. Raises Reject or Incomplete."""
        checks: list[Check] = []
        if self._signatures is None or not self._by_digest:
            return checks
        for file, data in self._signatures.of_digest(digests["sha256"].hex()):
            check = self._keys.check(data, file)
            if check.update:
                check.close()
                raise Reject(
                    "signature-late",
                    "the signature of the image is of its bytes, and was found by its digest when they had passed: "
                    "name the signature as the image, or sign with a kind that takes digests (minisign, sigstore)",
                )
            checks.append(check)
        return checks

    def _unsigned(self, name: str | None) -> dict[str, str | int]:
        if self._by_digest:
            self.log.info("no file in the folder 'signatures' is named as the image (%s) or as its SHA-256", name)
        if self.required:
            raise Reject("signature-missing", "the image is not signed, and this site demands it; get it signed")
        return {"verified": "none"}

    def _load_trust(self) -> tuple[Certificates | None, list[Certificate]]:
        from douane.plugins._signature_files import if_granted

        certificates = if_granted(lambda: self.grant("certificates"))
        trust = if_granted(lambda: self.grant("trust"))
        if (certificates is None) != (trust is None):
            raise ValueError(
                "'certificates' and 'trust' belong together: the certificates that images name, and the authorities "
                'that must have issued them (grants = { certificates = "dir:certificates", trust = "file:roots.pem" })'
            )
        if trust is None:
            return None, []
        from douane.plugins._x509 import load_anchors

        from .openstack import Certificates

        return Certificates(certificates), load_anchors(trust)

    def _load_sums(self) -> tuple[bytes | None, bytes | None]:
        from douane.plugins._signature_files import MAX_SIGNATURE_BYTES, if_granted, read_granted
        from douane.plugins._sums import MAX_BYTES

        sums = if_granted(lambda: self.grant("sums"))
        signature = if_granted(lambda: self.grant("sums_signature"))
        if sums is None:
            if signature is not None:
                raise ValueError("'sums_signature' is granted, but no 'sums' that it could have signed")
            return None, None
        data = read_granted(sums, "sums", MAX_BYTES)
        return data, None if signature is None else read_granted(signature, "sums_signature", MAX_SIGNATURE_BYTES)
