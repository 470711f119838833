"""Bundles of Sigstore, verified without a network by the library `sigstore` with the operator's trusted root."""

from __future__ import annotations

from douane_plugin import Reject

from .check import Check, invalid, untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


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
            self.verifier = Verifier(trusted_root=TrustedRoot.from_file(path))
        except Exception as error:
            raise ValueError(
                f"the file that is granted as 'sigstore' is no trusted root of Sigstore: {error!s:.200}"
            ) from error
        self.policy = _Signer(identity, issuer)
        self.identity = identity

    def bundle(self, data: bytes) -> Any:
        """Parse a bundle. Raises Reject."""
        from sigstore.models import Bundle

        try:
            return Bundle.from_json(data)
        except Exception as error:  # pydantic's, cryptography's and its own: whatever a damaged bundle leads to
            raise invalid(f"its bundle cannot be read ({_short(error)})") from error


class _Signer:
    """The policy of who may sign, whose failure is told from all others by `_OtherSigner`."""

    def __init__(self, identity: str, issuer: str) -> None:
        from sigstore.verify import policy

        # Authorities of today name the issuer in two extensions, older and private ones in either.
        issuers = policy.AnyOf([policy.OIDCIssuer(issuer), policy.OIDCIssuerV2(issuer)])
        self._policy = policy.AllOf([policy.Identity(identity=identity), issuers])

    def verify(self, certificate: Any) -> None:
        """Called by `sigstore`, which calls it before it has verified the signature."""
        try:
            self._policy.verify(certificate)
        except Exception as error:
            raise _OtherSigner from error


class _OtherSigner(Exception):
    pass


class SigstoreCheck(Check):
    """The bundle `data`, of the SHA-256 of the image. Raises Reject."""

    kind = "sigstore"
    algorithms = ("sha256",)

    def __init__(self, data: bytes, trust: SigstoreTrust) -> None:
        self._trust = trust
        self._bundle = trust.bundle(data)

    def finish(self, digests: Mapping[str, bytes]) -> str:
        from sigstore.hashes import Hashed
        from sigstore_models.common.v1 import HashAlgorithm

        hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digests["sha256"])
        try:
            self._trust.verifier.verify_artifact(hashed, self._bundle, self._trust.policy)
        except Exception as error:  # a bundle that parses may still hold anything
            raise refusal(error) from error
        return self._trust.identity


def refusal(error: Exception) -> Reject:
    """What an exception of `sigstore` says to the tenant."""
    if isinstance(error, _OtherSigner):
        return untrusted("the signer is another than this site expects")
    return invalid(f"its bundle is not valid for it ({_short(error)})")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
