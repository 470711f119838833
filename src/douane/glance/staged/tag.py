"""A keyed tag (GMAC) by which an import recognises bytes that were inspected when they were staged."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # cryptography takes tens of milliseconds to load, and only a site with `state` needs it
    from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext

_KEY_BYTES = 32
_NONCE = bytes(12)  # each key is used once


class Tag:
    """GMAC (NIST SP 800-38D, section 5.2.2: AES-256-GCM of data that is only authenticated) of the bytes put in.

    Without the key, nobody can make other bytes with the same tag; and GMAC takes a twelfth of the time of SHA-256.
    `key`: 32 bytes, random by default, and never the same for two images. Raises ImportError without ``cryptography``,
    which every Glance has.
    """

    def __init__(self, key: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self.key = key if key is not None else os.urandom(_KEY_BYTES)
        self.size = 0
        """Number of bytes put in."""
        self._gcm: AEADEncryptionContext = Cipher(algorithms.AES256(self.key), modes.GCM(_NONCE)).encryptor()

    def update(self, data: bytes | memoryview) -> None:
        """Put in the next bytes."""
        self._gcm.authenticate_additional_data(data)
        self.size += len(data)

    def finish(self) -> bytes:
        """The tag, 16 bytes. It can be called once."""
        self._gcm.finalize()
        return self._gcm.tag

    def matches(self, tag: bytes) -> bool:
        """Finish, and compare with `tag` in constant time."""
        return hmac.compare_digest(self.finish(), tag)
