"""Images of one kind and any size, on which time and memory are measured."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .cases import Case, Facts, Trial
from .guests import large_file, many_files
from .images import long_filler, tar_archive, zip_archive
from .words import Words

MAX_START = 64 << 10
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"\x78", b"\x5d\0\0", b"\x04\x22\x4d\x18")
"""The first bytes of gzip, bzip2, xz, zstd, zlib, lzma and lz4 files."""


@dataclass(frozen=True)
class Family:
    """Images of one kind and any size, with the usual facts if `facts` is None.

    `is_slow` to make; `is_dense` with matches of what the plugin searches for.
    """

    name: str
    make: Callable[[int], bytes]
    facts: Facts | None = None
    is_slow: bool = False
    is_dense: bool = False


class Families:
    """The families for a plugin: plain ones, archives that it may know, its own constants repeated."""

    def __init__(self, words: Words, seed: int, *, is_transform: bool, looks_into_guest: bool = False) -> None:
        self._words = words
        self._seed = seed
        self._is_transform = is_transform
        self._looks_into_guest = looks_into_guest

    def of(self, corpus: Sequence[Trial]) -> Iterator[Family]:
        """Yield the families; those that begin like images of `corpus` lead deeper into the plugin."""
        seed = self._seed
        if self._looks_into_guest:
            yield Family("a disk with a large file", lambda size: large_file(size, seed), is_slow=True)
            yield Family("a disk with many files", lambda size: many_files(size, seed), is_slow=True)
            return  # what is no disk with files is not read
        yield Family("bytes without a pattern", lambda size: long_filler(size, seed))
        yield Family("zeros", bytes)
        if self._is_transform or self._knows(b"\x1f\x8b", "gzip"):
            yield Family("a gzip file", lambda size: gzip.compress(long_filler(size, seed), 0, mtime=0), is_slow=True)
        if self._is_transform or self._knows(b"ustar", "tar"):
            yield Family("a tar file", lambda size: tar_archive({"disk.img": long_filler(size, seed)}), is_slow=True)
        if self._is_transform or self._knows(b"PK\x03\x04", "zip"):
            yield Family("a zip file", lambda size: zip_archive({"disk.img": long_filler(size, seed)}), is_slow=True)
        for case in self._deep(corpus):
            start = case.data
            yield Family(
                f"{start[:16].hex()}... and bytes without a pattern",
                functools.partial(_beginning_with, start, seed),
                case.facts,
            )
        repeated = {"spaces": b" ", "letters a": b"a", "digits 0": b"0", "line ends": b"\n", "ff": b"\xff"}
        repeated["text"] = b"The quick brown fox, 0123456789 jumps.\n"
        for name, piece in repeated.items():
            yield Family(name, _repeat(piece))
        for token in dict.fromkeys([*self._words.patterns[:6], *self._words.tokens[:8]]):
            yield Family(f"{token[:24]!r}, repeated", _repeat(token), is_dense=True)
            if len(token) > 1:
                yield Family(f"{token[:-1][:24]!r}, repeated", _repeat(token[:-1]))
                yield Family(f"{token[:1]!r}, repeated", _repeat(token[:1]))

    def _deep(self, corpus: Sequence[Trial]) -> list[Case]:
        """Return short images that the plugin accepts after it has read far, to be made longer."""
        cases = [
            (case, outcome)
            for case, outcome in corpus
            if outcome.kind == "accepted"
            and 0 < len(case.data) <= MAX_START
            # Libraries keep the bytes after a compressed file (unused_data of zlib), which is not the plugin's fault.
            and not case.data.startswith(COMPRESSED)
        ]
        cases.sort(key=lambda pair: -len(pair[1].properties))
        return [case for case, _ in cases[:3]]

    def _knows(self, magic: bytes, name: str) -> bool:
        return any(name in text.lower() for text in self._words.texts) or any(
            magic[:2] in token for token in self._words.tokens
        )


def _repeat(piece: bytes) -> Callable[[int], bytes]:
    return lambda size: (piece * (size // len(piece) + 1))[:size]


def _beginning_with(start: bytes, seed: int, size: int) -> bytes:
    return (start + long_filler(size, seed))[:size]
