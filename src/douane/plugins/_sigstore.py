"""Bundles of Sigstore, verified without a network by the library `sigstore` with the operator's trusted root."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class BadBundle(Exception):
    """A bundle is damaged, or is not valid for what it comes with; the text is a clause."""


class OtherSigner(Exception):
    """A bundle is signed by another identity than the operator trusts."""


class SigstoreTrust:
    """Who may sign: the trusted root in the file at `path`, and the identity in the certificate with its issuer.

    Raises ValueError for the operator.
    """

    def __init__(self, path: str, identity: str | None, issuer: str | None) -> None:
        if not identity or not issuer:
            raise ValueError(
                "a trusted root of Sigstore lets anyone sign: say who may, by 'identity' (an address, or the URL of a "
                "workflow) and 'issuer' (https://accounts.google.com, https://token.actions.githubusercontent.com)"
            )
        try:
            from sigstore.models import TrustedRoot
            from sigstore.verify import Verifier
        except ImportError as error:
            raise ValueError(
                "bundles of Sigstore are to be verified, and the package sigstore is not installed for this plugin "
                f"({error}); install sigstore, or in a checkout of Douane '.[sigstore]'"
            ) from error
        try:
            self._verifier = Verifier(trusted_root=TrustedRoot.from_file(path))
        except Exception as error:
            raise ValueError(
                f"the file that is granted as 'sigstore' is no trusted root of Sigstore: {error!s:.200}"
            ) from error
        self._policy = _SignerPolicy(identity, issuer)
        self.identity = identity

    def bundle(self, data: bytes) -> Any:
        """Parse a bundle. Raises BadBundle."""
        from sigstore.models import Bundle

        try:
            return Bundle.from_json(data)
        except Exception as error:  # pydantic's, cryptography's and its own: whatever a damaged bundle leads to
            raise BadBundle(f"its bundle cannot be read ({_short(error)})") from error

    def verify_digest(self, bundle: Any, sha256: bytes) -> None:
        """Verify that `bundle` signs what has this digest. Raises BadBundle or OtherSigner."""
        from sigstore.hashes import Hashed
        from sigstore_models.common.v1 import HashAlgorithm

        hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=sha256)
        self._verified(self._verifier.verify_artifact, hashed, bundle)

    def verify_envelope(self, bundle: Any) -> tuple[str, bytes]:
        """Verify the envelope inside of `bundle`; return its payload's type, and the payload. Raises as above."""
        kind, payload = self._verified(self._verifier.verify_dsse, bundle)
        return kind, payload

    def _verified(self, verify: Any, *arguments: Any) -> Any:
        try:
            return verify(*arguments, self._policy)
        except OtherSigner:
            raise
        except Exception as error:  # a bundle that parses may still hold anything
            raise BadBundle(f"its bundle is not valid for it ({_short(error)})") from error


class _SignerPolicy:
    """The policy of who may sign, whose failure is told from all others by `OtherSigner`."""

    def __init__(self, identity: str, issuer: str) -> None:
        from sigstore.verify import policy

        # Authorities of today name the issuer in two extensions, older and private ones in either.
        issuers = policy.AnyOf([policy.OIDCIssuer(issuer), policy.OIDCIssuerV2(issuer)])
        self._policy = policy.AllOf([policy.Identity(identity=identity), issuers])

    def verify(self, certificate: Any) -> None:
        """Called by `sigstore`, before it has verified the signature."""
        try:
            self._policy.verify(certificate)
        except Exception as error:
            raise OtherSigner from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
