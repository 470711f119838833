"""Whether a text with the form of a private key is one, and whether it is encrypted."""

from __future__ import annotations

import base64
import binascii
import re

from . import der

CONFIRMED, ENCRYPTED, UNCONFIRMED = "", "encrypted", "unconfirmed"
"""What a text turns out to be: a secret; one behind a passphrase; the form alone. None in place of these: no secret."""

OPENSSH_MAGIC = b"openssh-key-v1\0"
PEM_IN_TEXT = re.compile(rb"-----BEGIN ((?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY)-----([\s\S]{40,24000}?)-----END")
NOISE = re.compile(rb"""\\[nrt]|[\s"',\\]""")
"""Between the letters of a key that stands in JSON, or in the text of a program."""

HEADER_LINE = re.compile(rb"(?m)^[A-Za-z][A-Za-z-]{1,30}: [^\n]*\n?")
SECRET_KEY_PACKETS = (5, 7)
PUBLIC_NUMBERS = {1: 2, 2: 2, 3: 2, 16: 3, 17: 4}
"""Numbers of the public part of an OpenPGP key, by its algorithm; the others are on curves."""

CURVES, X_CURVES = (18, 19, 22), {25: 32, 26: 56, 27: 32, 28: 57}


def state_of_pem(label: bytes, body: bytes) -> str | None:
    """The state of a private key in PEM; `body` is what stands between its two lines."""
    lines = body.replace(b"\\r", b"").replace(b"\\n", b"\n").replace(b"\r", b"")
    is_encrypted = b"4,ENCRYPTED" in lines
    text = NOISE.sub(b"", HEADER_LINE.sub(b"", lines))
    if label.endswith(b"BLOCK"):
        text = re.sub(rb"={1,3}[A-Za-z0-9+/]{4}$", b"", text)  # the checksum of the armor
    data = decoded(text)
    if data is None:
        return None
    if is_encrypted:
        return ENCRYPTED if len(data) >= 64 else None
    if label.startswith(b"OPENSSH"):
        return _state_of_openssh(data)
    if label.startswith(b"PGP"):
        return _state_of_pgp(data)
    try:
        if label.startswith(b"ENCRYPTED"):
            return ENCRYPTED if der.is_encrypted_key(data) else None
        return CONFIRMED if der.is_private_key(data) else None
    except (der.NotDer, IndexError):
        return None


def state_of_text(text: bytes) -> str | None:
    """The state of the first private key in PEM in a text."""
    key = PEM_IN_TEXT.search(text)
    return state_of_pem(key[1], key[2]) if key else None


def decoded(text: bytes) -> bytes | None:
    """The bytes of base64, with or without its end; None if it is not base64."""
    try:
        return base64.b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4), validate=True)
    except binascii.Error:
        return None


def _state_of_openssh(data: bytes) -> str | None:
    if not data.startswith(OPENSSH_MAGIC):
        return None
    start = len(OPENSSH_MAGIC)
    length = int.from_bytes(data[start : start + 4], "big")
    cipher = data[start + 4 : start + 4 + length]
    if not cipher or length > 64 or len(data) < 120:
        return None
    return CONFIRMED if cipher == b"none" else ENCRYPTED


def _state_of_pgp(data: bytes) -> str | None:
    """By the first packet: a secret key, whose secret part begins with the octet that says how it is encrypted."""
    if len(data) < 20 or not data[0] & 0x80:
        return None
    if data[0] & 0x40:
        kind, start = data[0] & 0x3F, 2 if data[1] < 192 else 3 if data[1] < 224 else 6
    else:
        kind, start = (data[0] >> 2) & 0x0F, 1 + (1 << (data[0] & 3))
    if kind not in SECRET_KEY_PACKETS:
        return None
    try:
        return CONFIRMED if data[_secret_part(data, start)] == 0 else ENCRYPTED
    except IndexError:
        return None


def _secret_part(data: bytes, start: int) -> int:
    """Where the secret part of an OpenPGP key begins. Raises IndexError."""
    version, algorithm = data[start], data[start + 5]
    position = start + 6 + (4 if version >= 5 else 0)
    if algorithm in X_CURVES:
        return position + X_CURVES[algorithm]
    if algorithm in CURVES:
        position += 1 + data[position]
    for _ in range(PUBLIC_NUMBERS.get(algorithm, 1)):
        position += 2 + ((data[position] << 8 | data[position + 1]) + 7) // 8
    return position + 1 + data[position] if algorithm == CURVES[0] else position
