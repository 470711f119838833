"""A scratch file: what arrives is written there, what was made is read from there; holes stay holes."""

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
_GLANCE_BYTES = 64


def zeros(length: int) -> Iterator[memoryview]:
    """So many bytes that are zero."""
    while length > 0:
        yield _ZERO_VIEW[: min(length, _PIECE_BYTES)]
        length -= min(length, _PIECE_BYTES)


def keep(pieces: Iterable[bytes | memoryview], scratch: Scratch) -> None:
    """Write them all. Raises RuntimeError if there is no room."""
    for _ in keeping(pieces, scratch):
        pass


def keeping(pieces: Iterable[bytes | memoryview], scratch: Scratch) -> Iterator[tuple[int, bytes | memoryview]]:
    """Each of them when it has been written, after its offset in the file. Raises RuntimeError if there is no room.

    A piece of zeros may be a hole behind the file's end until the last one has been asked for.
    """
    fd, at = scratch.fileno(), 0
    for piece in pieces:
        length = len(piece)
        if not _is_zero(piece, length):
            with _told(scratch):
                _write(fd, piece, at)
        yield at, piece
        at += length
    with _told(scratch):
        os.ftruncate(fd, at)


def _write(fd: int, piece: bytes | memoryview, at: int) -> None:
    done = 0
    while done < len(piece):
        done += os.pwrite(fd, piece[done:] if done else piece, at + done)


@contextmanager
def _told(scratch: Scratch) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EFBIG:
            what = f"it is larger than the plugin's 'scratch' of {scratch.size} bytes"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = f"there is no room in TMPDIR ({error.strerror})"
        else:
            raise
        raise RuntimeError(f"the image could not be kept for its conversion: {what}") from error


def _is_zero(piece: bytes | memoryview, length: int) -> bool:
    # Comparing memoryviews goes item by item in CPython, comparing bytes by memcmp; so one that begins with zeros is
    # copied, and no other.
    if length > _PIECE_BYTES or bytes(piece[:_GLANCE_BYTES]).strip(b"\0"):
        return False
    return bytes(piece) == (_ZEROS if length == _PIECE_BYTES else _ZEROS[:length])


def hand_out(scratch: Scratch) -> Iterator[bytes | memoryview]:
    """All bytes of the file; those of a hole are not read (lseek(2), SEEK_DATA)."""
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
            got = os.preadv(fd, [view[: min(end - at, _PIECE_BYTES)]], at)
            if not got:
                raise RuntimeError("the scratch file became shorter while it was being read")
            yield view[:got]
            at += got


def rest(pieces: Iterable[bytes | memoryview], position: int) -> Iterator[bytes | memoryview]:
    """What stands behind the first `position` bytes of `pieces`."""
    for piece in pieces:
        if position < len(piece):
            yield piece[position:] if position else piece
        position = max(0, position - len(piece))
