"""Signatures of minisign: Ed25519 of the BLAKE2b digest of an image (``ED``), or, formerly, of its bytes (``Ed``)."""

from __future__ import annotations

import base64
import binascii

from .check import Check, invalid, untrusted
from .ed25519 import StreamedEd25519

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = b"untrusted comment:"
_MAX_KEYS = 256
_TRUSTED = "trusted comment: "


def load_keys(data: bytes) -> dict[bytes, bytes]:
    """The public keys by key id, from the text of one or several public key files. Raises ValueError."""
    keys: dict[bytes, bytes] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        text = line.strip()
        if not text or text.startswith(("#", PREFIX.decode())):
            continue
        raw = _decoded(text, 42)
        if raw is None or raw[:2] != b"Ed":
            raise ValueError(f"the file that is granted as 'minisign' has a line that is no public key: {text!r:.80}")
        if keys.setdefault(raw[2:10], raw[10:]) != raw[10:]:
            raise ValueError(f"the file that is granted as 'minisign' has two keys with the id {_id(raw[2:10])}")
    if not keys or len(keys) > _MAX_KEYS:
        raise ValueError(f"the file that is granted as 'minisign' has {len(keys)} public keys, not 1 to {_MAX_KEYS}")
    return keys


class MinisignCheck(Check):
    """The signature file `data`. Its trusted comment is verified at once. Raises Reject."""

    kind = "minisign"

    def __init__(self, data: bytes, keys: dict[bytes, bytes]) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        lines = data.decode("utf-8", "surrogateescape").strip().splitlines()
        if len(lines) != 4 or not lines[0].startswith(PREFIX.decode()) or not lines[2].startswith(_TRUSTED):
            raise invalid("it is not the four lines that minisign writes")
        raw, seal = _decoded(lines[1].strip(), 74), _decoded(lines[3].strip(), 64)
        if raw is None or seal is None or raw[:2] not in (b"ED", b"Ed"):
            raise invalid("its lines are not what minisign writes")
        self._id, self._value = raw[2:10], raw[10:]
        public = keys.get(self._id)
        if public is None:
            raise untrusted(f"it has no key with the id {_id(self._id)}")
        self._key = Ed25519PublicKey.from_public_bytes(public)
        self._verify(seal, self._value + lines[2][len(_TRUSTED) :].encode("utf-8", "surrogateescape"))
        self._streamed: StreamedEd25519 | None = None
        if raw[:2] == b"ED":
            self.algorithms = ("blake2b",)
        else:
            self._streamed = StreamedEd25519(public, self._value)
            self.update = self._streamed.update

    def finish(self, digests: Mapping[str, bytes]) -> str:
        if self._streamed is None:
            self._verify(self._value, digests["blake2b"])
        elif not self._streamed.is_valid():
            raise invalid("it is not of these bytes")
        return _id(self._id)

    def _verify(self, value: bytes, message: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(value, message)
        except InvalidSignature as error:
            raise invalid("it is not of these bytes, or its comment was changed") from error


def _decoded(text: str, length: int) -> bytes | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == length else None


def _id(key_id: bytes) -> str:
    """As minisign prints it."""
    return key_id[::-1].hex().upper()
