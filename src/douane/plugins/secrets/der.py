"""As much of DER as it takes to say that bytes are the private key that they claim to be."""

from __future__ import annotations

SEQUENCE, INTEGER, OCTETS, OBJECT, EXPLICIT_0 = 0x30, 0x02, 0x04, 0x06, 0xA0

RSA_PRIMES = slice(4, 6)
"""Of the numbers of an RSA key: version, modulus, public and private exponent, and then the two primes."""


class NotDer(ValueError):
    """The bytes are something else."""


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of the elements that follow each other in `data`. Raises NotDer."""
    listed, position = [], 0
    while position < len(data):
        tag, length, start = _header(data, position)
        position = start + length
        if position > len(data):
            raise NotDer("an element is cut")
        listed.append((tag, data[start:position]))
    return listed


def _header(data: bytes, position: int) -> tuple[int, int, int]:
    """Tag, length and the start of the content."""
    if position + 2 > len(data):
        raise NotDer("an element is cut")
    tag, length = data[position], data[position + 1]
    start = position + 2
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise NotDer("a length of this form is not used in keys")
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    return tag, length, start


def sequence(data: bytes) -> list[tuple[int, bytes]]:
    """The elements of the one sequence that `data` is. Raises NotDer."""
    outer = elements(data)
    if len(outer) != 1 or outer[0][0] != SEQUENCE:
        raise NotDer("no sequence")
    return elements(outer[0][1])


def is_private_key(data: bytes) -> bool:
    """True for PKCS #8, and for keys of RSA, DSA and elliptic curves. Raises NotDer."""
    parts = sequence(data)
    tags = [tag for tag, _ in parts]
    if tags[:3] == [INTEGER, SEQUENCE, OCTETS]:
        return elements(parts[1][1])[0][0] == OBJECT and len(parts[2][1]) >= 16
    if tags[:2] == [INTEGER, OCTETS]:
        return int.from_bytes(parts[0][1], "big") == 1 and len(parts[1][1]) >= 16
    if len(tags) >= 9 and set(tags[:9]) == {INTEGER}:
        numbers = [int.from_bytes(content, "big") for _, content in parts]
        first, second = numbers[RSA_PRIMES]
        # Of several primes (RFC 8017, version 1) the others follow in a sequence.
        return first * second == numbers[1] or (
            numbers[0] == 1 and min(first, second) > 1 and numbers[1] % (first * second) == 0
        )
    return len(tags) == 6 and set(tags) == {INTEGER}  # DSA: version, p, q, g, y, x


def is_encrypted_key(data: bytes) -> bool:
    """True for an encrypted key of PKCS #8. Raises NotDer."""
    parts = sequence(data)
    return [tag for tag, _ in parts] == [SEQUENCE, OCTETS] and elements(parts[0][1])[0][0] == OBJECT
