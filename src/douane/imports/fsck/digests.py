"""The digest of the bytes in a store: read once, in pieces of one mebibyte. They are not parsed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from douane.errors import StoreError

PIECE = 1 << 20


def digest_of(fd: int, size: int, algorithm: str, progress: Callable[[int], None]) -> str:
    """The digest of the first `size` bytes; `progress` gets the length of each piece. Raises StoreError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    view = memoryview(bytearray(PIECE))
    offset = 0
    while offset < size:
        try:
            length = os.preadv(fd, [view[: min(PIECE, size - offset)]], offset)
        except OSError as error:
            raise StoreError(f"reading failed at byte {offset}: {error.strerror}") from error
        if not length:
            raise StoreError(f"the bytes ended at {offset} while they were read", code="damaged")
        digest.update(view[:length])
        progress(length)
        offset += length
    return digest.hexdigest()
