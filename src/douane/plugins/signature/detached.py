"""Signatures beside the image: which kind a file is, and the keys that the operator granted for it."""

from __future__ import annotations

import base64
import binascii

from douane.plugins import _sums
from douane.plugins._signature_files import MAX_SIGNATURE_BYTES, if_granted, read_granted
from douane_plugin import Incomplete

from .check import Check, invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from douane.plugins._sigstore import SigstoreTrust
    from douane_plugin import Inspector

    from .gpg import Keyring

_STRONG = tuple(algorithm for algorithm in _sums.DIGITS if algorithm not in _sums.WEAK)


class Keys:
    """Whom the operator trusts to sign, by the kind of the signature. Raises ValueError for the operator."""

    def __init__(self, plugin: Inspector, identity: str | None, issuer: str | None) -> None:
        self.minisign: dict[bytes, bytes] = {}
        self.gpg: Keyring | None = None
        self.sigstore: SigstoreTrust | None = None
        if file := if_granted(lambda: plugin.grant("minisign")):
            from .minisign import load_keys

            self.minisign = load_keys(read_granted(file, "minisign", MAX_SIGNATURE_BYTES))
        if file := if_granted(lambda: plugin.grant("gpg")):
            from .gpg import MAX_KEYRING_BYTES, Keyring

            self.gpg = Keyring(read_granted(file, "gpg", MAX_KEYRING_BYTES))
        if file := if_granted(lambda: plugin.grant("sigstore")):
            from douane.plugins._sigstore import SigstoreTrust

            self.sigstore = SigstoreTrust(file.path, identity, issuer)

    def __bool__(self) -> bool:
        return bool(self.minisign or self.gpg or self.sigstore)

    def check(self, data: bytes, source: str) -> Check:
        """The check of a signature, whose kind is in its bytes. Raises Reject, or Incomplete without a key."""
        from .minisign import PREFIX

        text = data.lstrip()
        if not text:
            raise invalid(f"{source} is empty")
        if text.startswith(PREFIX):
            if self.minisign:
                from .minisign import MinisignCheck

                return MinisignCheck(data, self.minisign)
            raise _no_keys(source, "minisign")
        if text.startswith(b"{"):
            if self.sigstore:
                from .sigstore_bundle import SigstoreCheck

                return SigstoreCheck(data, self.sigstore)
            raise _no_keys(source, "sigstore")
        if self.gpg:
            from .gpg import GpgCheck

            return GpgCheck(data, self.gpg)
        raise _no_keys(source, "gpg")

    def check_value(self, value: str, source: str) -> Check:
        """The check of a signature in a property: its text, or base64 of it."""
        from .gpg import ARMOR
        from .minisign import PREFIX

        data = value.strip().encode()
        if data.startswith((PREFIX, b"{", ARMOR)):
            return self.check(data, source)
        try:
            return self.check(base64.b64decode("".join(value.split()), validate=True), source)
        except binascii.Error as error:
            raise invalid(f"{source} is neither a signature nor base64 of one") from error


class SignedSums:
    """A signed list of digests by name. It is verified at once. Raises Reject."""

    def __init__(self, data: bytes, signature: bytes | None, keys: Keys) -> None:
        text, self._signer, self._kind = _signed_text(data, signature, keys)
        self._lines = _sums.parse(text)

    def check(self, name: str | None) -> Check:
        """The check of the digests that the list has for the image `name`. Raises Reject or Incomplete."""
        return _SumsCheck(_sums.lines_of(self._lines, name, _STRONG), self._signer, f"{self._kind}-sums")


class _SumsCheck(Check):
    def __init__(self, lines: list[_sums.Line], signer: str, kind: str) -> None:
        self._lines, self._signer, self.kind = lines, signer, kind
        self.algorithms = tuple(sorted({line.algorithm for line in lines}))

    def finish(self, digests: Mapping[str, bytes]) -> str:
        for line in self._lines:
            if digests[line.algorithm].hex() != line.digest:
                raise invalid(f"its {line.algorithm} digest is not the one in the signed list")
        return self._signer


def _signed_text(data: bytes, signature: bytes | None, keys: Keys) -> tuple[bytes, str, str]:
    """The list itself, its signer, and the kind of its signature."""
    import hashlib

    from .gpg import CLEARSIGNED, verified_message

    if signature is None:
        if not data.lstrip().startswith(CLEARSIGNED):
            raise invalid("this site's list of digests has no signature")
        if keys.gpg is None:
            raise _no_keys("the list of digests", "gpg")
        return *verified_message(data, keys.gpg, _sums.MAX_BYTES), "gpg"
    check = keys.check(signature, "the signature of the list of digests")
    try:
        if check.update:
            check.update(data)
        return data, check.finish({name: hashlib.new(name, data).digest() for name in check.algorithms}), check.kind
    finally:
        check.close()


def _no_keys(source: str, kind: str) -> Incomplete:
    return Incomplete(
        "signature-no-key", f"{source} is of the kind {kind}, and this site has no keys for it; ask the operator"
    )
