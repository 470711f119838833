"""What the attestations of an image are worth to the operator."""

from __future__ import annotations

import base64
import binascii

from douane.plugins import _signature_files
from douane.plugins.attestations import strict_json
from douane.plugins.attestations.envelope import Envelope
from douane.plugins.attestations.statement import Statement
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from douane.plugins._sigstore import SigstoreTrust
    from douane.plugins.attestations.keys import PublicKeys

MAX_DOCUMENTS = 64
_SLSA = "https://slsa.dev/provenance/"


class Attested:
    """An attestation that fits: how it was verified (`kind`), who signed, and what it says."""

    def __init__(self, kind: str, signer: str, statement: Statement) -> None:
        self.kind, self.signer = kind, signer
        self.predicate_type, self.predicate = statement.predicate_type, statement.predicate
        self.builder, self.build_type = _text(_builder_id(statement)), _text(_build_type(statement))


class Trust:
    """Whose attestations count. Raises ValueError for the operator."""

    builders: list[str] | None = None
    predicate_types: tuple[str, ...] = (f"{_SLSA}v1", f"{_SLSA}v0.2")

    def __init__(self, keys: Any | None, sigstore: Any | None, identity: str | None, issuer: str | None) -> None:
        self._keys: PublicKeys | None = None
        self._sigstore: SigstoreTrust | None = None
        if keys is not None:
            from douane.plugins.attestations.keys import PublicKeys

            data = _signature_files.read_granted(keys, "keys", _signature_files.MAX_SIGNATURE_BYTES)
            try:
                self._keys = PublicKeys(data.decode("utf-8", "replace"))
            except ImportError as error:
                raise ValueError(f"the package cryptography is not installed for this plugin ({error})") from error
            except ValueError as error:
                raise ValueError(f"the file that is granted as 'keys' cannot be used: {error}") from error
        if sigstore is not None:
            from douane.plugins._sigstore import SigstoreTrust

            self._sigstore = SigstoreTrust(sigstore.path, identity, issuer)
        if keys is None and sigstore is None:
            raise ValueError("nobody is trusted to attest: grant 'keys' or 'sigstore'")

    def verify(self, documents: list[bytes], digests: Mapping[str, str]) -> Attested:
        """The first of `documents` that fits the image with these `digests` (hex). Raises the Reject of the best."""
        refusals = []
        for document in documents:
            try:
                return self._verify(document, digests)
            except Reject as refusal:
                refusals.append(refusal)
        # The one that came farthest says most: a file may hold the attestations of other images.
        best = max(refusals, key=lambda refusal: _ORDER.index(refusal.code), default=None)
        raise best or _invalid("there is none in its file")

    def _verify(self, document: bytes, digests: Mapping[str, str]) -> Attested:
        try:
            kind, signer, payload_type, payload = self._opened(document)
            statement = Statement.parse(payload_type, payload)
        except ValueError as error:
            raise _invalid(str(error)) from error
        if not any(subject.keys() & digests.keys() for subject in statement.subjects):
            raise Reject("provenance-weak", _sentence("it names the image by no digest of SHA-256 or SHA-512"))
        if not statement.is_about(digests):
            raise Reject("provenance-subject", _sentence("it is about other bytes than these"))
        if statement.predicate_type not in self.predicate_types:
            raise Reject(
                "provenance-type", _sentence(f"it is a {statement.predicate_type!r:.100}, which does not count here")
            )
        attested = Attested(kind, signer, statement)
        if self.builders is not None and attested.builder not in self.builders:
            raise Reject("provenance-builder", _sentence(f"it names the builder {attested.builder!r:.200}"))
        return attested

    def _opened(self, document: bytes) -> tuple[str, str, str, bytes]:
        """How it is verified, who signed, the payload's type, the payload. Raises Reject, and ValueError (a clause)."""
        table = strict_json.parse(document, "the attestation")
        if isinstance(table, dict) and "payloadType" in table:
            if self._keys is None:
                raise Reject("provenance-untrusted", _sentence("this site trusts no bare keys"))
            envelope = Envelope.from_table(table)
            signer = envelope.signer(self._keys)
            if signer is None:
                raise Reject("provenance-untrusted", _sentence("no key that this site trusts has signed it"))
            return "key", signer, envelope.kind, envelope.payload
        if self._sigstore is None:
            raise Reject(
                "provenance-untrusted", _sentence("it is no signed envelope, and this site trusts no Sigstore")
            )
        return "sigstore", self._sigstore.identity, *self._bundled(self._sigstore, document)

    def _bundled(self, sigstore: SigstoreTrust, document: bytes) -> tuple[str, bytes]:
        from douane.plugins._sigstore import BadBundle, OtherSigner

        try:
            return sigstore.verify_envelope(sigstore.bundle(document))
        except OtherSigner as error:
            raise Reject("provenance-untrusted", _sentence("the signer is another than expected")) from error
        except BadBundle as error:
            raise _invalid(str(error)) from error


def documents_in(data: bytes) -> list[bytes]:
    """The JSON documents in a file: one, or one on each line. Raises Reject if there are too many."""
    if len(lines := [line for line in data.splitlines() if line.strip()]) <= 1:
        return lines
    if not all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        return [data]
    if len(lines) > MAX_DOCUMENTS:
        raise _invalid(f"its file has more than {MAX_DOCUMENTS} of them")
    return lines


def decoded(value: str) -> bytes:
    """An attestation in a property: its text, or base64 of it. Raises Reject."""
    if value.lstrip().startswith("{"):
        return value.encode()
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid("the property is neither JSON nor base64 of it") from error


_ORDER = (
    "provenance-invalid",
    "provenance-untrusted",
    "provenance-weak",
    "provenance-subject",
    "provenance-type",
    "provenance-builder",
)
"""The codes, in the order in which they are found."""


def _builder_id(statement: Statement) -> Any:
    if not statement.predicate_type.startswith(_SLSA):
        return None
    run = statement.predicate.get("runDetails") if statement.predicate_type == f"{_SLSA}v1" else statement.predicate
    builder = run.get("builder") if isinstance(run, dict) else None
    return builder.get("id") if isinstance(builder, dict) else None


def _build_type(statement: Statement) -> Any:
    definition = statement.predicate.get("buildDefinition", statement.predicate)
    return definition.get("buildType") if isinstance(definition, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _sentence(detail: str) -> str:
    remedy = "upload an image of a trusted builder with its attestation"
    return f"the attestation of who built the image does not fit: {detail}; {remedy}"


def _invalid(detail: str) -> Reject:
    return Reject("provenance-invalid", _sentence(detail))
