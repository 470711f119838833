"""The image of a test, and the pieces that it is cut into."""

from __future__ import annotations

import bisect
import errno
import os
import random
from typing import Any, BinaryIO, Callable, Iterable, Iterator, Optional, Sequence, Union

from douane_plugin._local import SLOT_BYTES

MIN_HOLE_BYTES = 512 << 10
"""Shorter holes of a file are read as data, as in production."""

ImageLike = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", BinaryIO, Iterable[bytes]]
ChunksLike = Union[None, int, str, Sequence[int], "Cuts", Callable[[int, Optional[int]], int]]
Piece = Union[bytes, int]
"""Bytes, or the length in bytes of a hole."""


class Cuts:
    """Offsets in bytes at which an image is cut: ``Cuts(3, 10)`` makes three chunks, 0 to 3, 3 to 10, and the rest.

    Offsets are ints of 0 or more, in any order. A chunk of more than 1 MiB is cut further. Raises ValueError for
    anything else.
    """

    def __init__(self, *offsets: int) -> None:
        if any(isinstance(offset, bool) or not isinstance(offset, int) or offset < 0 for offset in offsets):
            raise ValueError(f"cuts are offsets in bytes, 0 or more, not {offsets!r:.100}")
        self.offsets = tuple(sorted(set(offsets) - {0}))

    def __repr__(self) -> str:
        return f"Cuts({', '.join(map(str, self.offsets))})"


Lengths = Callable[[int, Optional[int]], int]


def lengths(chunks: Any, seed: int) -> Optional[Lengths]:
    """Return the function that chooses the length of the next chunk, for the argument `chunks` of `run`.

    It takes the offset and the number of bytes after it. None: the image keeps its own pieces. Raises ValueError.
    """
    if chunks is None:
        return None
    if isinstance(chunks, int) and not isinstance(chunks, bool):
        _length(chunks)
        return lambda offset, rest: int(chunks)
    if chunks == "random":
        return _random(random.Random(seed))
    if isinstance(chunks, Cuts):
        return _at_cuts(chunks.offsets)
    if callable(chunks):
        return lambda offset, rest: _length(chunks(offset, rest))
    if isinstance(chunks, Sequence) and not isinstance(chunks, (str, bytes)):
        chosen = iter([_length(length) for length in chunks])
        return lambda offset, rest: next(chosen, SLOT_BYTES)
    raise ValueError(
        f"chunks is a length in bytes, a list of lengths, Cuts(...) with offsets, 'random', a function of the offset "
        f"and the number of bytes after it, or None, not {chunks!r:.100}"
    )


def _length(length: Any) -> int:
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f"a chunk has 1 byte or more, not {length!r:.60}")
    return length


def _random(numbers: random.Random) -> Lengths:
    def choose(_: int, rest: Optional[int]) -> int:
        longest = min(rest or SLOT_BYTES, SLOT_BYTES)
        return max(1, int(longest ** numbers.random()))  # the logarithm of the length is uniform

    return choose


def _at_cuts(offsets: Sequence[int]) -> Lengths:
    def choose(offset: int, _: Optional[int]) -> int:
        index = bisect.bisect_right(offsets, offset)
        return offsets[index] - offset if index < len(offsets) else SLOT_BYTES

    return choose


class Source:
    """An image that is read once.

    `size` is its length in bytes, or None if that is not known before the end; `error` is the exception of a
    generator, or ValueError for an image of another size than declared. Raises TypeError for an `image` of another
    type, and OSError.
    """

    def __init__(self, image: Any) -> None:
        self.size: Optional[int] = None
        self.error: Optional[BaseException] = None
        self._file: Optional[BinaryIO] = None
        self._pieces: Iterator[Any] = iter(())
        self._buffer = memoryview(b"")
        self._offset = 0
        if isinstance(image, (bytes, bytearray, memoryview)):
            self._buffer = memoryview(bytes(image))
            self.size = len(self._buffer)
        elif isinstance(image, (str, os.PathLike)):
            self._file = open(image, "rb", buffering=0)  # noqa: SIM115  # closed by `close`
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
        """Close the file of a path."""
        if self._file is not None:
            self._file.close()

    def open_file(self) -> Optional[int]:
        """Return a new descriptor of the file, which the caller closes; None if the image is not a path."""
        return os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY) if self._file is not None else None

    def pieces(self, choose: Optional[Lengths], declared: Optional[int]) -> Iterator[Piece]:
        """Yield the image in pieces. Raises ValueError unless it has the `declared` length, or that is None."""
        while True:
            hole = self._hole()
            length = SLOT_BYTES
            rest = declared - self._offset if declared is not None else None
            if choose is not None and rest != 0:
                length = choose(self._offset, rest)
            elif hole >= MIN_HOLE_BYTES:
                length = hole
            if hole >= length:
                self._offset += length
                yield length
                continue
            data = self._take(min(length, SLOT_BYTES), join=choose is not None)
            if not data:
                break
            self._offset += len(data)
            if declared is not None and self._offset > declared:
                raise self._size_error(f"the image is longer than the declared {declared} bytes")
            yield data
        if declared is not None and self._offset < declared:
            raise self._size_error(f"the image ended after {self._offset} of the declared {declared} bytes")

    def _size_error(self, message: str) -> ValueError:
        self.error = ValueError(message)
        return self.error

    def _hole(self) -> int:
        """Return the length of the hole at the current offset: lseek(2), SEEK_DATA."""
        if self._file is None or self.size is None or self._offset >= self.size:
            return 0
        try:
            return os.lseek(self._file.fileno(), self._offset, os.SEEK_DATA) - self._offset
        except OSError as error:
            return self.size - self._offset if error.errno == errno.ENXIO else 0

    def _take(self, length: int, join: bool) -> bytes:
        if self._file is not None:
            return os.pread(self._file.fileno(), length, self._offset)
        parts = []
        while length:
            if not self._buffer and not self._refill():
                break
            part, self._buffer = bytes(self._buffer[:length]), self._buffer[length:]
            parts.append(part)
            length -= len(part)
            if not join:
                break
        return b"".join(parts)

    def _refill(self) -> bool:
        try:
            for piece in self._pieces:
                self._buffer = memoryview(piece).cast("B")
                if self._buffer:
                    return True
        except BaseException as error:
            self.error = error  # an error of the test: `run` raises it, whatever the plugin does
            raise
        return False


def spool(source: Source, declared: Optional[int]) -> int:
    """Return a read-only descriptor of a file with the whole image, which the caller closes."""
    import tempfile

    fd = source.open_file()
    if fd is not None:
        return fd
    with tempfile.TemporaryFile() as file:
        for piece in source.pieces(None, declared):
            assert isinstance(piece, bytes)  # only files have holes
            file.write(piece)
        file.flush()
        return os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDONLY)
