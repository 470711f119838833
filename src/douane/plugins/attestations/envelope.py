"""Envelopes of DSSE v1: a payload with its type, and signatures of both."""

from __future__ import annotations

import base64
import binascii

from . import strict_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .keys import PublicKeys

IN_TOTO = "application/vnd.in-toto+json"
MAX_SIGNATURES = 64


class Envelope:
    """The `payload` of the type `kind`. Nothing of it may be believed before :meth:`signer` has named a key."""

    def __init__(self, kind: str, payload: bytes, signatures: list[bytes]) -> None:
        self.kind, self.payload, self._signatures = kind, payload, signatures

    @classmethod
    def parse(cls, data: bytes) -> Envelope:
        """Read the JSON of an envelope. Raises ValueError, with a clause."""
        return cls.from_table(strict_json.parse(data, "the envelope"))

    @classmethod
    def from_table(cls, table: Any) -> Envelope:
        """Of parsed JSON. Raises ValueError, with a clause."""
        if not isinstance(table, dict) or not {"payload", "payloadType", "signatures"} <= table.keys():
            raise ValueError("it is no envelope: it needs payload, payloadType and signatures")
        signatures = table["signatures"]
        if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
            raise ValueError(f"its envelope has not 1 to {MAX_SIGNATURES} signatures")
        if not isinstance(table["payloadType"], str):
            raise ValueError("the type of its payload is no text")
        values = [_decoded(each.get("sig") if isinstance(each, dict) else None) for each in signatures]
        return cls(table["payloadType"], _decoded(table["payload"]), values)

    def signer(self, keys: PublicKeys) -> str | None:
        """The fingerprint of a key that has signed; None if none of `keys` has.

        The ids of keys in an envelope are not signed, and so are not looked at.
        """
        message = pre_authentication(self.kind, self.payload)
        names = (keys.signer(value, message) for value in self._signatures)
        return next((name for name in names if name), None)


def pre_authentication(kind: str, payload: bytes) -> bytes:
    """The bytes that are signed (PAE)."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _decoded(value: Any) -> bytes:
    """base64 of either alphabet, as the specification asks of readers."""
    if not isinstance(value, str) or not value:
        raise ValueError("a part of its envelope is empty, or no text")
    try:
        return base64.b64decode(value.translate({0x2D: "+", 0x5F: "/"}), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a part of its envelope is not in base64") from error
