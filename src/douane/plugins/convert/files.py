"""Scratch files: an image is written as it arrives, a result is read; holes stay holes."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from douane_plugin import Scratch

_PIECE_BYTES = 1 << 20
_ZEROS = bytes(_PIECE_BYTES)
_ZERO_VIEW = memoryview(_ZEROS)
_SAMPLE_BYTES = 64


def zeros(length: int) -> Iterator[memoryview]:
    """Yield `length` bytes that are zero."""
    while length > 0:
        yield _ZERO_VIEW[: min(length, _PIECE_BYTES)]
        length -= min(length, _PIECE_BYTES)


def write_file(pieces: Iterable[bytes | memoryview], scratch: Scratch) -> None:
    """Write all pieces. Raises RuntimeError if there is no space."""
    for _ in writing(pieces, scratch):
        pass


def writing(pieces: Iterable[bytes | memoryview], scratch: Scratch) -> Iterator[tuple[int, bytes | memoryview]]:
    """Yield each piece, and its offset in the file, when it is written. Raises RuntimeError if there is no space.

    A piece of zeros may be a hole behind the file's end until the last piece has been asked for.
    """
    fd, at = scratch.fileno(), 0
    for piece in pieces:
        length = len(piece)
        if not _is_zero(piece, length):
            with _explained(scratch):
                _write(fd, piece, at)
        yield at, piece
        at += length
    with _explained(scratch):
        os.ftruncate(fd, at)


def _write(fd: int, piece: bytes | memoryview, at: int) -> None:
    count = 0
    while count < len(piece):
        count += os.pwrite(fd, piece[count:] if count else piece, at + count)


@contextmanager
def _explained(scratch: Scratch) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            reason = f"it is larger than the plugin's 'scratch' of {scratch.size} bytes"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"there is no space in TMPDIR ({error.strerror})"
        else:
            raise
        raise RuntimeError(f"the image could not be kept for its conversion: {reason}") from error


def _is_zero(piece: bytes | memoryview, length: int) -> bool:
    # CPython compares memoryviews item by item, and bytes by memcmp; so a piece that begins with zeros is copied, and
    # no other.
    if length > _PIECE_BYTES or bytes(piece[:_SAMPLE_BYTES]).strip(b"\0"):
        return False
    return bytes(piece) == (_ZEROS if length == _PIECE_BYTES else _ZEROS[:length])


def read_file(scratch: Scratch) -> Iterator[bytes | memoryview]:
    """Yield all bytes of the file; the bytes of a hole are not read (lseek(2), SEEK_DATA)."""
    fd = scratch.fileno()
    size = os.fstat(fd).st_size
    buffer = bytearray(_PIECE_BYTES)
    view = memoryview(buffer)
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            start = size
        yield from zeros(start - at)
        at = start
        end = os.lseek(fd, at, os.SEEK_HOLE) if at < size else size
        while at < end:
            count = os.preadv(fd, [view[: min(end - at, _PIECE_BYTES)]], at)
            if not count:
                raise RuntimeError("the scratch file became shorter while it was being read")
            yield view[:count]
            at += count


def skip_bytes(pieces: Iterable[bytes | memoryview], count: int) -> Iterator[bytes | memoryview]:
    """Yield `pieces` without their first `count` bytes."""
    for piece in pieces:
        if count < len(piece):
            yield piece[count:] if count else piece
        count = max(0, count - len(piece))
