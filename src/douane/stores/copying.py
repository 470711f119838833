"""Copy an image out of the store: holes stay holes, and the kernel shares blocks where it can."""

import errno
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from douane.errors import StoreError

from .base import StoredBytes
from .os_errors import explained

BLOCK = 1 << 20
READ_AHEAD = 4
"""Blocks that are read at a time from a store that is no file system."""

_ZEROS = bytes(BLOCK)
# _IOW(0x94, 9, int), linux/fs.h; ioctl_ficlone(2). Python 3.11 does not name it.
_FICLONE = 0x40049409
# Errors that mean "not between these two files", not "the disk is broken": copy_file_range(2), ioctl_ficlone(2).
_UNSUPPORTED = frozenset(
    {
        errno.EXDEV,
        errno.ENOSYS,
        errno.EOPNOTSUPP,
        errno.EINVAL,
        errno.EPERM,
        errno.ENOTTY,
        errno.EBADF,
        errno.ETXTBSY,
    }
)


def extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The (offset, length) in bytes of each run of data in the file, in order; the rest is holes (lseek(2)).

    A file system without holes reports the whole file as one extent.
    """
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        if start >= size:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, end - start
        offset = end


def copy_sparse(source: int, target: int, size: int) -> None:
    """Make the empty file `target` equal to the first `size` bytes of `source`, holes included.

    Shares the blocks where the file system can (FICLONE, and copy_file_range(2) by itself), else copies in the
    kernel, else reads and writes. Raises OSError, and StoreError when `source` ends before `size`.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        in_kernel = True
        for offset, length in extents(source, size):
            in_kernel = _copy_extent(source, target, offset, length, in_kernel)
    os.ftruncate(target, size)


def _copy_extent(source: int, target: int, offset: int, length: int, in_kernel: bool) -> bool:
    """Copy one extent; return whether to try the next extent in the kernel."""
    end = offset + length
    while in_kernel and offset < end:
        try:
            copied = os.copy_file_range(source, target, end - offset, offset, offset)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            in_kernel = False
            break
        if copied == 0:  # some file systems return 0 before the end, where read(2) still reads
            in_kernel = False
        offset += copied
    while offset < end:
        block = _read(source, min(BLOCK, end - offset), offset)
        offset += _write_all(target, block, offset)
    return in_kernel


def copy_dense(source: int, target: int, size: int, name: str) -> None:
    """Write the first `size` bytes of `source` to `target` in order, zeros where there are holes.

    For targets that cannot seek: pipes, sockets, terminals. `name` is the target's name in errors. Raises StoreError.
    """
    offset = 0
    with explained("read the image from the store", "the image's file"):
        runs = list(extents(source, size))
    for start, length in [*runs, (size, 0)]:
        while offset < start:
            part = min(BLOCK, start - offset)
            offset += _write_out(target, memoryview(_ZEROS)[:part], name)
        while offset < start + length:
            with explained("read the image from the store", "the image's file"):
                block = _read(source, min(BLOCK, start + length - offset), offset)
            offset += _write_out(target, memoryview(block), name)


def _read(fd: int, length: int, offset: int) -> bytes:
    block = os.pread(fd, length, offset)
    if not block:
        raise StoreError(
            f"the image in the store ended at byte {offset}: its file was cut from outside", code="damaged"
        )
    return block


def _write_all(fd: int, block: bytes, offset: int) -> int:
    view = memoryview(block)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
    return len(block)


def _write_out(fd: int, view: memoryview, name: str) -> int:
    length = len(view)
    while view:
        with explained("write the image", name, side="target"):
            view = view[os.write(fd, view) :]
    return length


def copy_stored(stored: StoredBytes, target: int, name: str, *, sparse: bool) -> int:
    """Write bytes that are no file to `target`, in order, and close them; their length. With `sparse`, blocks of zeros
    become holes. Raises StoreError."""
    with closing(stored), ThreadPoolExecutor(READ_AHEAD, "douane-read") as threads:
        pending: deque[tuple[int, memoryview, Future[int]]] = deque()
        offset = 0
        while offset < stored.size or pending:
            while offset < stored.size and len(pending) < READ_AHEAD:
                block = memoryview(bytearray(min(4 * BLOCK, stored.size - offset)))
                pending.append((offset, block, threads.submit(stored.read_into, block, offset)))
                offset += len(block)
            start, block, read = pending.popleft()
            if read.result() != len(block):
                raise StoreError(f"the image in the store ended behind byte {start}", code="damaged")
            _pass_on(target, block, start, name, sparse=sparse)
        if sparse:
            with explained("write the image", name, side="target"):
                os.ftruncate(target, stored.size)
        return stored.size


def _pass_on(target: int, block: memoryview, offset: int, name: str, *, sparse: bool) -> None:
    for at in range(0, len(block), BLOCK):
        piece = block[at : at + BLOCK]
        if not sparse:
            _write_out(target, piece, name)
        elif piece != memoryview(_ZEROS)[: len(piece)]:
            with explained("write the image", name, side="target"):
                _write_all(target, bytes(piece), offset + at)
