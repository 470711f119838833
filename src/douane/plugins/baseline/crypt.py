"""crypt(3) for the hashes of MD5, SHA-256 and SHA-512, which Python has no more; and for others the system's libcrypt.

Sources: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512"; Poul-Henning Kamp's MD5 of FreeBSD.
"""

from __future__ import annotations

import hashlib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ROUNDS = 20_000
"""An image may say 999,999,999, which takes hours."""
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHA = re.compile(r"\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})")
_MD5 = re.compile(r"\$1\$([^$]{0,8})")
_BOUNDED = re.compile(r"\$y\$j[789]T\$|\$2[aby]\$(?:0[4-9]|10)\$|[./0-9A-Za-z]{13}$")
"""What libcrypt computes in some tens of milliseconds and 16 MiB: yescrypt as distributions set it, bcrypt, DES."""


class NotTried(Exception):
    """A hash that cannot be computed here; the text says why."""


class Crypt:
    """Computes hashes. `library` is the function of libcrypt, None if there is none."""

    def __init__(self, library: Callable[[bytes, bytes], bytes | None] | None) -> None:
        self._library = library

    def hashed(self, password: str, field: str) -> str:
        """The hash of a password with the settings of another one. Raises NotTried."""
        if sha := _SHA.match(field):
            if int(sha[2] or 0) > MAX_ROUNDS:
                raise NotTried(f"its hash takes more than {MAX_ROUNDS} rounds")
            return sha_crypt(password.encode(), sha)
        if md5 := _MD5.match(field):
            return md5_crypt(password.encode(), md5[1])
        if not _BOUNDED.match(field):
            raise NotTried("its hash is of a kind, or has a cost, that is not computed")
        result = b"*"
        if self._library is not None and field.isascii():
            result = self._library(password.encode(), field.encode()) or b"*"
        if result.startswith(b"*"):
            raise NotTried("the host of Douane has no libcrypt for its hash")
        return result.decode("ascii", "replace")


def open_libcrypt() -> Callable[[bytes, bytes], bytes | None] | None:
    """The function of the system's library; None if it has none."""
    try:
        import ctypes

        function = ctypes.CDLL("libcrypt.so.1").crypt
    except (ImportError, OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_char_p, ctypes.c_char_p], ctypes.c_char_p
    return function


def sha_crypt(password: bytes, settings: re.Match[str]) -> str:
    """The hash for the settings that `_SHA` has matched."""
    new = hashlib.sha512 if settings[1] == "6" else hashlib.sha256
    salt = settings[3].encode("utf-8", "surrogateescape")
    rounds = max(1000, int(settings[2])) if settings[2] else 5000
    size = new().digest_size
    inner = new(password + salt + password).digest()
    first = new(password + salt + _stretched(inner, len(password)))
    number = len(password)
    while number:
        first.update(inner if number & 1 else password)
        number >>= 1
    digest = first.digest()
    key = _stretched(new(password * len(password)).digest(), len(password))
    pepper = _stretched(new(salt * (16 + digest[0])).digest(), len(salt))
    for index in range(rounds):
        data = key if index & 1 else digest
        data += (pepper if index % 3 else b"") + (key if index % 7 else b"")
        digest = new(data + (digest if index & 1 else key)).digest()
    shift, last = (21, b"\0\0" + digest[63:]) if size == 64 else (10, b"\0" + digest[31:29:-1])
    groups = []
    order: tuple[int, ...] = (0, shift, 2 * shift)
    for _ in range(shift):
        groups.append(bytes(digest[index] for index in order))
        order = _next_order(order, size)
    tail = _encoded(last, 2 if size == 64 else 3)
    return settings[0] + "$" + "".join(_encoded(group, 4) for group in groups) + tail


def _next_order(order: tuple[int, ...], size: int) -> tuple[int, ...]:
    turned = (order[1], order[2], order[0]) if size == 64 else (order[2], order[0], order[1])
    return tuple(index + 1 for index in turned)


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def md5_crypt(password: bytes, salt_text: str) -> str:
    """The hash of ``$1$``."""
    salt = salt_text.encode("utf-8", "surrogateescape")
    inner = hashlib.md5(password + salt + password, usedforsecurity=False).digest()
    first = password + b"$1$" + salt + _stretched(inner, len(password))
    number = len(password)
    while number:
        first += b"\0" if number & 1 else password[:1]
        number >>= 1
    digest = hashlib.md5(first, usedforsecurity=False).digest()
    for index in range(1000):
        data = password if index & 1 else digest
        data += (salt if index % 3 else b"") + (password if index % 7 else b"")
        digest = hashlib.md5(data + (digest if index & 1 else password), usedforsecurity=False).digest()
    groups = [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)]
    text = "".join(_encoded(bytes(digest[index] for index in group), 4) for group in groups)
    return f"$1${salt_text}${text}{_encoded(bytes([0, 0, digest[11]]), 2)}"


def _encoded(data: bytes, count: int) -> str:
    number = int.from_bytes(data, "big")
    return "".join(_DIGITS[number >> 6 * index & 63] for index in range(count))
