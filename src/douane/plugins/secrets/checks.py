"""Verification of what has the form of a secret: by its checksum, its structure, its entropy.

A check takes the match of a rule in the bytes around it. It returns a state (`keys.CONFIRMED` and others), or None for
what is no secret.
"""

from __future__ import annotations

import base64
import json
import math
import re
import string
import zlib

from . import keys
from .keys import CONFIRMED, ENCRYPTED, UNCONFIRMED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[["re.Match[bytes]"], str | None]

BASE62 = (string.digits + string.ascii_uppercase + string.ascii_lowercase).encode()
BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
AWS_SECRET = re.compile(rb"(?<![0-9a-zA-Z/+])[0-9a-zA-Z/+]{40}(?![0-9a-zA-Z/+=])")
AWS_SECRET_ENTROPY = 4.0
MINISIGN_LENGTH, SIGNIFY_LENGTH = 158, 104
KEY_FUNCTION, SIGNIFY_ROUNDS = slice(2, 4), slice(4, 8)
"""Where a key of minisign names the function of its passphrase, and where one of signify has its rounds, or 0."""


def entropy(text: bytes) -> float:
    """Bits for each letter, by how often the letters occur in the text."""
    counts = [text.count(letter) for letter in set(text)]
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _pem(match: re.Match[bytes]) -> str | None:
    return keys.state_of_pem(match["label"], match["secret"])


def _base64_pem(match: re.Match[bytes]) -> str | None:
    data = keys.decoded(match["secret"])
    return keys.state_of_text(data) if data else None


def _putty(match: re.Match[bytes]) -> str | None:
    if keys.decoded(b"".join(match["secret"].split())) is None:
        return None
    return CONFIRMED if match["cipher"] == b"none" else ENCRYPTED


def _crc32_base62(match: re.Match[bytes]) -> str | None:
    """The last six letters are the CRC-32 of those between the prefix and them."""
    number, letters = zlib.crc32(match["body"]), bytearray()
    while len(letters) < len(match["sum"]):
        number, digit = divmod(number, 62)
        letters.insert(0, BASE62[digit])
    return CONFIRMED if bytes(letters) == match["sum"] else UNCONFIRMED


def _bech32(match: re.Match[bytes]) -> str | None:
    prefix, _, data = match[0].lower().rpartition(b"1")
    values = [letter >> 5 for letter in prefix] + [0] + [letter & 31 for letter in prefix]
    check = 1
    for value in values + [BECH32.index(letter) for letter in data]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(BECH32_GENERATOR):
            check ^= generator if top >> bit & 1 else 0
    return CONFIRMED if check == 1 else None


def _minisign(match: re.Match[bytes]) -> str | None:
    data = keys.decoded(match["secret"])
    if data is None or len(data) not in (MINISIGN_LENGTH, SIGNIFY_LENGTH) or data[:2] != b"Ed":
        return None
    if len(data) == MINISIGN_LENGTH:
        return ENCRYPTED if data[KEY_FUNCTION] == b"Sc" else CONFIRMED
    return ENCRYPTED if any(data[SIGNIFY_ROUNDS]) else CONFIRMED


def _keytab(match: re.Match[bytes]) -> str | None:
    """The first entry: its length, the number of its components, and its realm of letters."""
    data = match["secret"]
    length, components, realm = (int.from_bytes(data[a:b], "big") for a, b in ((2, 6), (6, 8), (8, 10)))
    text = data[10 : 10 + realm]
    is_entry = 20 <= length <= 4000 and 1 <= components <= 16 and 1 <= realm <= 255
    return CONFIRMED if is_entry and len(text) == realm and all(32 < letter < 127 for letter in text) else None


def _base64(match: re.Match[bytes]) -> str | None:
    return CONFIRMED if keys.decoded(match["secret"]) is not None else None


def _aws(match: re.Match[bytes]) -> str | None:
    """With a secret key near it; without, the identifier alone lets nobody in."""
    near = AWS_SECRET.findall(match.string)
    return CONFIRMED if any(entropy(text) >= AWS_SECRET_ENTROPY for text in near) else UNCONFIRMED


def _pypi(match: re.Match[bytes]) -> str | None:
    """A macaroon, version 2, whose location is an index of packages."""
    text = match["body"]
    data = base64.urlsafe_b64decode(text[: len(text) // 4 * 4])
    return CONFIRMED if data[:2] == b"\x02\x01" and b"pypi.org" in data[3:20] else None


def _basic_auth(match: re.Match[bytes]) -> str | None:
    data = keys.decoded(match["secret"])
    name, colon, password = (data or b"").partition(b":")
    is_text = all(32 <= letter < 127 for letter in name) and all(letter >= 32 for letter in password)
    return CONFIRMED if name and colon and password and is_text else None


def _jwt(match: re.Match[bytes]) -> str | None:
    parts = match["secret"].split(b".")
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    return CONFIRMED if isinstance(header, dict) and isinstance(claims, dict) and "alg" in header else None


def _shadow(match: re.Match[bytes]) -> str | None:
    """A locked password is no way in, and its hash still tells the password."""
    return "locked" if match["lock"] else CONFIRMED


CHECKS: dict[str, Check] = {
    "aws": _aws,
    "base64": _base64,
    "base64-pem": _base64_pem,
    "basic-auth": _basic_auth,
    "bech32": _bech32,
    "crc32-base62": _crc32_base62,
    "jwt": _jwt,
    "keytab": _keytab,
    "minisign": _minisign,
    "pem": _pem,
    "putty": _putty,
    "pypi": _pypi,
    "shadow": _shadow,
}
"""By the name that a rule has under `check`."""
