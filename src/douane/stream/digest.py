"""The digests of the bytes in a ring."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from .reader import ZEROS, ThreadReader
from .ring import Chunk, Ring

ALGORITHMS = ("md5", "sha256", "sha512")


class Digest(ThreadReader):
    """One digest of all bytes of a ring; `hexdigest` is there when `join` has returned."""

    def __init__(self, ring: Ring, algorithm: str, ended: Callable[[ThreadReader], None]) -> None:
        super().__init__(ring, algorithm, ended)
        self.algorithm = algorithm
        self.hexdigest: str | None = None
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def _take(self, chunk: Chunk) -> None:
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                self._hash.update(view)
            return
        left = chunk.end - chunk.start
        while left and not self._cancelled:
            self._hash.update(ZEROS[:left] if left < len(ZEROS) else ZEROS)
            left -= min(left, len(ZEROS))

    def _end(self, size: int) -> None:
        self.hexdigest = self._hash.hexdigest()
