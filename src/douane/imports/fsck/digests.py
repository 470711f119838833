"""The digest of the bytes in a store: read once, in pieces of four mebibytes. They are not parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from douane.errors import StoreError
from douane.stores import StoredBytes

PIECE = 4 << 20


def digest_of(stored: StoredBytes, size: int, algorithm: str, progress: Callable[[int], None]) -> str:
    """The digest of the first `size` bytes; `progress` gets the length of each piece. Raises StoreError."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    view = memoryview(bytearray(PIECE))
    offset = 0
    while offset < size:
        length = stored.read_into(view[: min(PIECE, size - offset)], offset)
        if not length:
            raise StoreError(f"the bytes ended at {offset} while they were read", code="damaged")
        digest.update(view[:length])
        progress(length)
        offset += length
    return digest.hexdigest()
