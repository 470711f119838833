"""The digests of the bytes in a ring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from .reader import ThreadReader
from .ring import Chunk, Ring
from .zeros import ZEROS

ALGORITHMS = ("md5", "sha256", "sha512")


class Digest(ThreadReader):
    """One digest of all bytes of a ring; `hexdigest` is set when `join` has returned."""

    def __init__(self, ring: Ring, algorithm: str, ended: Callable[[ThreadReader], None]) -> None:
        super().__init__(ring, algorithm, ended)
        self.algorithm = algorithm
        self.hexdigest: str | None = None
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def _read(self, chunk: Chunk) -> None:
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                self._hash.update(view)
            return
        remaining = chunk.end - chunk.start
        while remaining and not self._cancelled:
            self._hash.update(ZEROS[:remaining] if remaining < len(ZEROS) else ZEROS)
            remaining -= min(remaining, len(ZEROS))

    def _finish(self, size: int) -> None:
        self.hexdigest = self._hash.hexdigest()
