"""Where the bytes of an image come from: a file, or a stream that can be read once."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import stat
import termios
from collections.abc import Callable, Iterator
from typing import Protocol

from douane.errors import PlanError, SourceError
from douane.units import KiB, show_size

from .image_file import open_image, require_end
from .ring import Ring, RingStopped
from .wakeups import Wakeups

MIN_HOLE_BYTES = 512 * KiB
"""Shorter holes are read like data: below this, a hole costs more than reading zeros; and each piece between holes
takes a slot, so that all slots together must reach farther than a transform may read before it decides."""


class Source(Protocol):
    """Fills a ring with one image."""

    name: str
    """How messages call the image."""

    size: int | None
    """Bytes; None if that is not known before the end."""

    def pump(self, ring: Ring) -> None:
        """Write all of the image into `ring`. Raises SourceError, and RingStopped when the run has ended."""

    def file(self) -> int | None:
        """A descriptor of the same bytes that can be read at any offset, or None. The caller must not close it."""

    def close(self) -> None:
        """Release the descriptors of the source."""


class FileSource:
    """A regular file. Its holes are not read. Raises SourceError if the file changes while it is read."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self.name = name
        self._initial = os.fstat(fd)
        self.size: int | None = self._initial.st_size

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`."""
        size = self._initial.st_size
        offset = 0
        for start, end in _data_extents(self._fd, size):
            if start > offset:
                ring.hole(start - offset)
            offset = start
            while offset < end:
                offset += self._fill(ring, offset, min(end - offset, ring.slot_bytes))
        if offset < size:
            ring.hole(size - offset)
        self._check_unchanged()

    def _fill(self, ring: Ring, offset: int, length: int) -> int:
        place = ring.reserve()
        filled = 0
        try:
            while filled < length:
                count = os.preadv(self._fd, [ring.view[place + filled : place + length]], offset + filled)
                if not count:
                    raise SourceError(
                        f"{self.name} became shorter while it was being read: it ended after "
                        f"{show_size(offset + filled)} of {show_size(self._initial.st_size)}; copy it first, or wait "
                        "until nothing writes it",
                        code="truncated",
                    )
                filled += count
        except OSError as error:
            raise SourceError(f"{self.name} cannot be read at offset {offset + filled}: {error.strerror}") from error
        ring.publish(place, filled)
        return filled

    def _check_unchanged(self) -> None:
        initial, final = self._initial, os.fstat(self._fd)
        if (final.st_size, final.st_mtime_ns) == (initial.st_size, initial.st_mtime_ns):
            return
        change = "grew" if final.st_size > initial.st_size else "changed"
        if final.st_size < initial.st_size:
            change = "became shorter"
        raise SourceError(
            f"{self.name} {change} while it was being read, so the checked bytes are not those of the file now; "
            "wait until nothing writes it, then try again",
            code="truncated" if final.st_size < initial.st_size else "changed-while-read",
        )

    def file(self) -> int:
        """See :class:`Source`."""
        return self._fd

    def close(self) -> None:
        """See :class:`Source`."""
        os.close(self._fd)


class StreamSource:
    """A pipe or socket: read once, in order. `size` is the announced size in bytes, or None."""

    def __init__(self, fd: int, name: str, size: int | None = None) -> None:
        self._fd = fd
        self.name = name
        self.size = size

    def pump(self, ring: Ring) -> None:
        """See :class:`Source`."""
        total = 0
        wakeups = Wakeups()
        while True:
            place = ring.reserve()
            filled = self.fill_slot(ring, place)
            ring.publish(place, filled, spread=wakeups.spread(ring))
            total += filled
            if self.size is not None and total > self.size:
                raise SourceError(
                    f"{self.name} is longer than the announced {self.size} bytes", code="longer-than-announced"
                )
            if filled < ring.slot_bytes:
                break
        if self.size is not None and total < self.size:
            raise SourceError(
                f"{self.name} ended after {total} of the announced {self.size} bytes; "
                "find out why its writer stopped, then try again",
                code="truncated",
            )

    def fill_slot(self, ring: Ring, place: int) -> int:
        """Fill the slot at `place`, unless the stream ends before; return the number of bytes. Raises as `pump`."""
        return fill_slot(self._fd, ring, place, self.name)

    def file(self) -> int | None:
        """None: the bytes can be read once only."""
        return None

    def close(self) -> None:
        """See :class:`Source`; standard input stays open."""
        if self._fd > 2:
            os.close(self._fd)


def fill_slot(
    fd: int, ring: Ring, place: int, name: str, arrived: Callable[[int], None] | None = None, end_fd: int | None = None
) -> int:
    """Read from a stream until the slot at `place` is full or the stream ends; return the number of bytes.

    The stream also ends when nothing is in it and `end_fd` can be read: nobody has anything more to write.

    A slot is published when it is full: many small chunks would cost every reader a wake-up each. `arrived` is called
    with the length of each piece. Raises SourceError, and RingStopped as soon as the run has ended, also while the
    stream's writer is silent.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(ring.stop_fd, select.POLLIN)
    if end_fd is not None:
        poll.register(end_fd, select.POLLIN)
    filled = 0
    while filled < ring.slot_bytes:
        ready = {ready_fd for ready_fd, _ in poll.poll()}
        if ring.stop_fd in ready:
            raise RingStopped
        if fd not in ready:
            break
        try:
            count = read_stream(fd, ring.view[place + filled : place + ring.slot_bytes])
        except OSError as error:
            raise SourceError(f"{name} cannot be read: {error.strerror}") from error
        if count is None:
            continue
        if not count:
            break
        filled += count
        if arrived is not None:
            arrived(count)
    return filled


def pending_bytes(fd: int) -> int:
    """Bytes that a pipe holds now (ioctl_pipe(2), FIONREAD)."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def read_stream(fd: int, view: memoryview) -> int | None:
    """Read from a stream that poll(2) called ready: the number of bytes, 0 at the end, None if they are gone.

    Whoever made a pipe may read it, too, and take the bytes between poll and read. A read that waited then would wait
    for as long as that reader likes, whatever the clocks say. Raises OSError. `view` is released: the traceback of an
    error would keep it, and with it the memory of the ring.
    """
    with view:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):  # a file that is not in the page cache would be "not ready" for ever
            try:
                # Not O_NONBLOCK, which every holder of the pipe can clear.
                return os.preadv(fd, [view], -1, os.RWF_NOWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
            return _read_by_splice(fd, view)  # a named pipe, or Linux before 6.4
        return os.readv(fd, [view])


def _read_by_splice(fd: int, view: memoryview) -> int | None:
    """As :func:`read_stream`: splice(2) from pipe to pipe need not wait, whatever the flags of the pipes are."""
    near, far = os.pipe2(os.O_CLOEXEC)
    try:
        count = os.splice(fd, far, len(view), flags=os.SPLICE_F_NONBLOCK)
        filled = 0
        while filled < count:  # a read ends with a packet (pipe(2), O_DIRECT)
            filled += os.readv(near, [view[filled:count]])
        return count
    except BlockingIOError:
        return None
    finally:
        os.close(near)
        os.close(far)


def open_source(path: str, *, size: int | None = None) -> FileSource | StreamSource:
    """Open `path`, or standard input for ``-``. `size` is the announced size in bytes, or None.

    Raises PlanError if there is no such image, if it has no end, or if a file has another size.
    """
    if path == "-":
        status = require_end(0, "standard input")
        return StreamSource(0, "standard input", _size_of_device(0, status) if size is None else size)
    fd = open_image(path)
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode):
            source = FileSource(fd, path)
            if size is not None and source.size != size:
                raise PlanError(f"{path} has {source.size} bytes, not the announced {size}")
            return source
        return StreamSource(fd, path, _size_of_device(fd, status) if size is None else size)
    except BaseException:
        os.close(fd)
        raise


def _size_of_device(fd: int, status: os.stat_result) -> int | None:
    """The bytes of a block device; None for what has no size."""
    if not stat.S_ISBLK(status.st_mode):
        return None
    size = os.lseek(fd, 0, os.SEEK_END)
    os.lseek(fd, 0, os.SEEK_SET)
    return size


def _data_extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are not holes, as [start, end), joined across small holes; lseek(2), SEEK_DATA."""
    offset = 0
    pending: tuple[int, int] | None = None
    while offset < size:
        try:
            start = min(os.lseek(fd, offset, os.SEEK_DATA), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                break
            start = offset  # the file system does not know its holes
            end = size
        else:
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size) if start < size else size
        if pending is not None and start - pending[1] < MIN_HOLE_BYTES:
            pending = (pending[0], end)
        else:
            if pending is not None:
                yield pending
            pending = (0 if start < MIN_HOLE_BYTES else start, end)
        offset = end
    if pending is not None:
        yield (pending[0], size if size - pending[1] < MIN_HOLE_BYTES else pending[1])
