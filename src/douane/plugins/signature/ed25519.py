"""Ed25519 (RFC 8032, 5.1.7) of a message that arrives in pieces.

A signature of minisign's old kind is of the bytes themselves, and every library wants them all in memory. Only the hash
reads the message; the arithmetic below is done once, with public values, so its time reveals nothing.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]
"""Extended coordinates: x = X/Z, y = Y/Z, x*y = T/Z."""


class StreamedEd25519:
    """Verifies the `signature` (64 bytes) by the key `public` (32 bytes) of all that `update` is given."""

    def __init__(self, public: bytes, signature: bytes) -> None:
        self._public, self._signature = public, signature
        self._hash = hashlib.sha512(signature[:32] + public)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the message."""
        self._hash.update(data)

    def is_valid(self) -> bool:
        """True if the signature is of the message."""
        key = _decoded(self._public)
        scalar = int.from_bytes(self._signature[32:], "little")
        if key is None or len(self._signature) != 64 or scalar >= _ORDER:
            return False
        challenge = int.from_bytes(self._hash.digest(), "little") % _ORDER
        minus_key = (_P - key[0], key[1], key[2], _P - key[3])
        point = _add(_times(scalar, _BASE), _times(challenge, minus_key))
        return _encoded(point) == self._signature[:32]


def _add(first: _Point, second: _Point) -> _Point:
    a = (first[1] - first[0]) * (second[1] - second[0]) % _P
    b = (first[1] + first[0]) * (second[1] + second[0]) % _P
    c = 2 * first[3] * second[3] * _D % _P
    d = 2 * first[2] * second[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    product: _Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = _add(product, point)
        point = _add(point, point)
        scalar >>= 1
    return product


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decoded(data: bytes) -> _Point | None:
    if len(data) != 32:
        return None
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _base() -> _Point:
    point = _decoded((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE = _base()
