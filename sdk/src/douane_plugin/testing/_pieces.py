"""An image as a test names it, and the pieces that it is cut into."""

from __future__ import annotations

import errno
import os
import random
from typing import Any, BinaryIO, Callable, Iterable, Iterator, Optional, Sequence, Union

MOST_BYTES = 1 << 20
"""Longest chunk, as in production: a slot of the ring."""

LEAST_HOLE_BYTES = 512 << 10
"""Shorter holes of a file are read like data, as in production."""

ImageLike = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", BinaryIO, Iterable[bytes]]
ChunksLike = Union[None, int, str, Sequence[int], "Cuts", Callable[[int, Optional[int]], int]]
Piece = Union[bytes, int]
"""Bytes, or the length of a hole."""


class Cuts:
    """Where an image is cut, as offsets in bytes: ``Cuts(3, 10)`` gives three chunks, 0 to 3, 3 to 10, and the rest.

    Offsets are ints of 0 or more, in any order. A chunk of more than 1 MiB is cut further. Raises ValueError for
    anything else.
    """

    def __init__(self, *offsets: int) -> None:
        if any(isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in offsets):
            raise ValueError(f"cuts are offsets in bytes, 0 or more, not {offsets!r:.100}")
        self.offsets = tuple(sorted(set(offsets) - {0}))

    def __repr__(self) -> str:
        return f"Cuts({', '.join(map(str, self.offsets))})"


Lengths = Callable[[int, Optional[int]], int]


def lengths(chunks: Any, seed: int) -> Optional[Lengths]:
    """What says how long the next chunk is, given the offset and the bytes left; None: as it comes.

    Raises ValueError.
    """
    if chunks is None:
        return None
    if isinstance(chunks, int) and not isinstance(chunks, bool):
        _length(chunks)
        return lambda offset, left: int(chunks)
    if chunks == "random":
        return _random(random.Random(seed))
    if isinstance(chunks, Cuts):
        return _at_cuts(chunks.offsets)
    if callable(chunks):
        return lambda offset, left: _length(chunks(offset, left))
    if isinstance(chunks, Sequence) and not isinstance(chunks, (str, bytes)):
        given = [_length(length) for length in chunks]
        rest = iter(given)
        return lambda offset, left: next(rest, MOST_BYTES)
    raise ValueError(
        f"chunks is a length in bytes, a list of lengths, Cuts(...) with offsets, 'random', a function of the offset "
        f"and the bytes left, or None, not {chunks!r:.100}"
    )


def _length(length: Any) -> int:
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f"a chunk has 1 byte or more, not {length!r:.60}")
    return length


def _random(numbers: random.Random) -> Lengths:
    def choose(_: int, left: Optional[int]) -> int:
        most = min(left or MOST_BYTES, MOST_BYTES)
        return max(1, int(most ** numbers.random()))  # as many short ones as long ones, on every scale

    return choose


def _at_cuts(offsets: Sequence[int]) -> Lengths:
    return lambda offset, left: next((cut - offset for cut in offsets if cut > offset), MOST_BYTES)


class Source:
    """An image that is read once. `size` is its length in bytes, None where that is not known before the end.

    `error` is what a generator raised.
    """

    def __init__(self, image: Any) -> None:
        self.size: Optional[int] = None
        self.error: Optional[BaseException] = None
        self._file: Optional[BinaryIO] = None
        self._pieces: Iterator[Any] = iter(())
        self._held = memoryview(b"")
        self._at = 0
        if isinstance(image, (bytes, bytearray, memoryview)):
            self._held = memoryview(bytes(image))
            self.size = len(self._held)
        elif isinstance(image, (str, os.PathLike)):
            self._file = open(image, "rb", buffering=0)  # noqa: SIM115  # it lives as long as this
            self.size = os.fstat(self._file.fileno()).st_size
        elif isinstance(image, (list, tuple)):
            self.size = sum(len(piece) for piece in image)
            self._pieces = iter(image)
        elif hasattr(image, "read"):
            self._pieces = iter(lambda: image.read(1 << 16), b"")
        elif hasattr(image, "__iter__"):
            self._pieces = iter(image)
        else:
            raise TypeError(f"an image is bytes, a path, a file, or an iterable of bytes, not {image!r:.100}")

    def close(self) -> None:
        """Close the file that was opened here."""
        if self._file is not None:
            self._file.close()

    def open_file(self) -> Optional[int]:
        """A descriptor of its own of the file, if it is one; the caller closes it."""
        return os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY) if self._file is not None else None

    def pieces(self, choose: Optional[Lengths], announced: Optional[int]) -> Iterator[Piece]:
        """All of it, cut. `announced` is the length that was declared: ValueError if it is another."""
        while True:
            hole = self._hole()
            length = MOST_BYTES
            left = announced - self._at if announced is not None else None
            if choose is not None and left != 0:
                length = choose(self._at, left)
            elif hole >= LEAST_HOLE_BYTES:
                length = hole
            if hole >= length:
                self._at += length
                yield length
                continue
            data = self._take(min(length, MOST_BYTES), whole=choose is not None)
            if not data:
                break
            self._at += len(data)
            if announced is not None and self._at > announced:
                raise self._wrong(f"the image is longer than the declared {announced} bytes")
            yield data
        if announced is not None and self._at < announced:
            raise self._wrong(f"the image ended after {self._at} of the declared {announced} bytes")

    def _wrong(self, message: str) -> ValueError:
        self.error = ValueError(message)
        return self.error

    def _hole(self) -> int:
        """Bytes of a hole from here on; lseek(2), SEEK_DATA."""
        if self._file is None or self.size is None or self._at >= self.size:
            return 0
        try:
            return os.lseek(self._file.fileno(), self._at, os.SEEK_DATA) - self._at
        except OSError as error:
            return self.size - self._at if error.errno == errno.ENXIO else 0

    def _take(self, length: int, whole: bool) -> bytes:
        if self._file is not None:
            return os.pread(self._file.fileno(), length, self._at)
        parts = []
        while length:
            if not self._held and not self._refill():
                break
            part, self._held = bytes(self._held[:length]), self._held[length:]
            parts.append(part)
            length -= len(part)
            if not whole:
                break
        return b"".join(parts)

    def _refill(self) -> bool:
        try:
            for piece in self._pieces:
                self._held = memoryview(piece).cast("B")
                if self._held:
                    return True
        except BaseException as error:
            self.error = error  # the test's own fault: told as such, whatever the plugin makes of it
            raise
        return False


def spool(source: Source, announced: Optional[int]) -> int:
    """All of an image in a file without a name: a read-only descriptor, which the caller closes."""
    import tempfile

    found = source.open_file()
    if found is not None:
        return found
    with tempfile.TemporaryFile() as file:
        for piece in source.pieces(None, announced):
            assert isinstance(piece, bytes)  # only files have holes
            file.write(piece)
        file.flush()
        return os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
