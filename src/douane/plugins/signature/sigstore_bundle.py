"""Bundles of Sigstore beside an image."""

from __future__ import annotations

from douane.plugins._sigstore import BadBundle, OtherSigner, SigstoreTrust

from .check import Check, invalid, untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class SigstoreCheck(Check):
    """The bundle `data`, of the SHA-256 of the image. Raises Reject."""

    kind = "sigstore"
    algorithms = ("sha256",)

    def __init__(self, data: bytes, trust: SigstoreTrust) -> None:
        self._trust = trust
        try:
            self._bundle = trust.bundle(data)
        except BadBundle as error:
            raise invalid(str(error)) from error

    def finish(self, digests: Mapping[str, bytes]) -> str:
        try:
            self._trust.verify_digest(self._bundle, digests["sha256"])
        except OtherSigner as error:
            raise untrusted("the signer is another than this site expects") from error
        except BadBundle as error:
            raise invalid(str(error)) from error
        return self._trust.identity
