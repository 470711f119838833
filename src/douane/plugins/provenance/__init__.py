"""The inspector `provenance`: who built the image, by an attestation that comes beside it."""

from __future__ import annotations

from douane_plugin import Inspector, Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from douane_plugin import Image

    from .attestation import Attested, Trust

_ENDINGS = (
    *(".intoto.jsonl", ".intoto.json", ".intoto", ".att", ".provenance.json", ".provenance"),
    *(".sigstore.json", ".sigstore", ".bundle", ".dsse"),
)
_SIGNATURES = frozenset({"messageSignature"})
"""Keys of what is not for this inspector, but for `signature`."""

_MAX_PROPERTY = 1024


class Provenance(Inspector):
    """Refuse an image for which no attestation says that a trusted builder made it.

    ``use = "provenance"``. It reads the whole image once. An attestation is of the image as it arrives: list it before
    any transform. Of several attestations, one must fit.

    Grants:

    ``attestations``
        The folder with the attestations beside the images, named as the image or its SHA-256 with ``.intoto.jsonl``,
        ``.intoto.json``, ``.intoto``, ``.att``, ``.provenance.json``, ``.provenance``, ``.sigstore.json``,
        ``.sigstore``, ``.bundle`` or ``.dsse`` at the end; or the file with the attestations of the one image.
    ``keys``
        Public keys in PEM that may sign.
    ``sigstore``
        A trusted root of Sigstore. It needs ``identity``, ``issuer`` and the package sigstore.

    Configuration:

    ``required`` (bool, true)
        Refuse an image without an attestation.
    ``builders`` (list of str, none)
        The ids of the builders that may have made it; none: any that a trusted key vouches for.
    ``predicate_types`` (list of str, none)
        The kinds of attestations that count; none: SLSA's provenance, v1 and v0.2.
    ``property`` (str, none)
        The image's property that holds an attestation: its text, or base64 of it.
    ``name`` (str, the image's name)
        The name of the image in the folder.
    ``identity``, ``issuer`` (str, none)
        Who may sign with Sigstore, and who vouches for that name.

    Properties: ``verified`` (``key``, ``sigstore`` or ``none``), ``signer``, ``builder``, ``build_type``,
    ``predicate_type``. The predicate is attached as the document ``predicate``, if it has at most 64 KiB.

    The codes of refusals begin with ``provenance-``.
    """

    def __init__(
        self,
        required: bool = True,
        builders: list[str] | None = None,
        predicate_types: list[str] | None = None,
        property: str | None = None,
        name: str | None = None,
        identity: str | None = None,
        issuer: str | None = None,
    ) -> None:
        from douane.plugins._signature_files import Beside, if_granted

        from .attestation import Trust

        if builders is not None and not builders:
            raise ValueError("'builders' is empty, so nothing could be accepted; list the ids, or leave it out")
        self.required, self.property, self.name = required, property, name
        attestations = if_granted(lambda: self.grant("attestations"))
        self._attestations = (
            None if attestations is None else Beside(attestations, "attestations", _ENDINGS, _SIGNATURES)
        )
        keys, sigstore = if_granted(lambda: self.grant("keys")), if_granted(lambda: self.grant("sigstore"))
        self._trust: Trust = Trust(keys, sigstore, identity, issuer)
        self._trust.builders = builders
        if predicate_types is not None:
            self._trust.predicate_types = tuple(predicate_types)
        if property is None and self._attestations is None:
            raise ValueError("there are no attestations: grant 'attestations', or name a 'property' of the image")

    def inspect(self, image: Image) -> dict[str, str | int]:
        """Return the properties. Raises Reject or Incomplete."""
        from .attestation import decoded, documents_in

        contents: list[bytes] = []
        if self.property is not None and (value := image.properties.get(self.property)) is not None:
            contents.append(decoded(value))
        if self._attestations:
            contents += [data for _, data in self._attestations.of_name(self.name or image.name)]
        if not contents and not (self._attestations and self._attestations.has_digests):
            return self._unattested(self.name or image.name)
        digests = self._read(image)
        if self._attestations:
            contents += [data for _, data in self._attestations.of_digest(digests["sha256"])]
        if not contents:
            return self._unattested(self.name or image.name)
        documents = [document for data in contents for document in documents_in(data)]
        return self._properties(self._trust.verify(documents, digests))

    def _read(self, image: Image) -> dict[str, str]:
        """The digests of the image, in hex."""
        import hashlib

        from douane.plugins.attestations.statement import ALGORITHMS

        hashes = {name: hashlib.new(name) for name in ALGORITHMS}
        for chunk in image:
            for digest in hashes.values():
                digest.update(chunk)
        return {name: digest.hexdigest() for name, digest in hashes.items()}

    def _properties(self, attested: Attested) -> dict[str, str | int]:
        import json

        if len(json.dumps(attested.predicate)) <= 64 << 10:
            try:
                self.attach("predicate", attested.predicate)
            except ValueError as error:  # deeper than documents may be, or numbers that they cannot have
                self.log.info("the predicate is not attached: %s", error)
        properties = {
            "verified": attested.kind,
            "signer": attested.signer,
            "builder": attested.builder,
            "build_type": attested.build_type,
            "predicate_type": attested.predicate_type,
        }
        return {name: value[:_MAX_PROPERTY] for name, value in properties.items() if value}

    def _unattested(self, name: str | None) -> dict[str, str | int]:
        if self._attestations and self._attestations.has_digests:
            self.log.info("no file in the folder 'attestations' is named as the image (%s) or as its SHA-256", name)
        if self.required:
            raise Reject(
                "provenance-missing",
                "the image has no attestation of who built it, and this site demands one; "
                "upload an image of a trusted builder with its attestation",
            )
        return {"verified": "none"}
