"""By what bytes are known again that were inspected when they were staged."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import AEADEncryptionContext

_KEY_BYTES = 32
_NONCE = bytes(12)  # of a key that is used once


class Tag:
    """GMAC (NIST SP 800-38D, section 5.2.2: AES-256-GCM over data that is not encrypted) of all that is put in.

    Whoever does not have the key cannot make other bytes with the same tag; and it takes a twelfth of the time of
    SHA-256. `key`: 32 bytes, random ones by default: never the same for two images. Raises ImportError without
    ``cryptography``, which every Glance has.
    """

    def __init__(self, key: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self.key = key if key is not None else os.urandom(_KEY_BYTES)
        self.size = 0
        """Bytes that were put in."""
        self._gcm: AEADEncryptionContext = Cipher(algorithms.AES256(self.key), modes.GCM(_NONCE)).encryptor()

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        self._gcm.authenticate_additional_data(data)
        self.size += len(data)

    def end(self) -> bytes:
        """The tag, 16 bytes; once."""
        self._gcm.finalize()
        return self._gcm.tag

    def is_of(self, other: bytes) -> bool:
        """True if `other` is this tag; ends it."""
        return hmac.compare_digest(self.end(), other)
