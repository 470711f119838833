"""Where the bytes come from: a file, or a stream that can be read once."""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable, Iterator
from typing import Protocol

from douane.errors import PlanError, SourceError
from douane.units import KiB, show_size

from .ring import Ring, Stopped
from .wakeups import Pace

MIN_HOLE_BYTES = 512 * KiB
"""Shorter holes are read like data: below this, handling one costs more than reading zeros; and each piece between
holes takes a slot, so that all slots together must reach farther than a transform may read before it decides."""


class Source(Protocol):
    """Fills a ring. `size` is in bytes, None where it is not known before the end."""

    name: str
    size: int | None

    def pump(self, ring: Ring) -> None:
        """Write all of the image into `ring`. Raises SourceError, and Stopped when the pass has ended."""

    def file(self) -> int | None:
        """A descriptor of the same bytes that can be read at any offset, or None. Not to be closed."""

    def close(self) -> None:
        """Give up what is open."""


class FileSource:
    """A regular file. Its holes are not read; that it stays the same while it is read is checked."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self.name = name
        self._before = os.fstat(fd)
        self.size: int | None = self._before.st_size

    def pump(self, ring: Ring) -> None:
        size = self._before.st_size
        at = 0
        for start, end in _data_extents(self._fd, size):
            if start > at:
                ring.hole(start - at)
            at = start
            while at < end:
                at += self._fill(ring, at, min(end - at, ring.slot_bytes))
        if at < size:
            ring.hole(size - at)
        self._check_unchanged()

    def _fill(self, ring: Ring, at: int, length: int) -> int:
        place = ring.reserve()
        done = 0
        try:
            while done < length:
                got = os.preadv(self._fd, [ring.view[place + done : place + length]], at + done)
                if not got:
                    raise SourceError(
                        f"{self.name} became shorter while it was being read: {show_size(at + done)} of "
                        f"{show_size(self._before.st_size)} were there; copy it first, or wait until nothing writes it",
                        code="truncated",
                    )
                done += got
        except OSError as error:
            raise SourceError(f"{self.name} cannot be read at offset {at + done}: {error.strerror}") from error
        ring.publish(place, done)
        return done

    def _check_unchanged(self) -> None:
        before, after = self._before, os.fstat(self._fd)
        if after.st_size != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
            how = "grew" if after.st_size > before.st_size else "changed"
            if after.st_size < before.st_size:
                how = "became shorter"
            raise SourceError(
                f"{self.name} {how} while it was being read, so what was checked is not what is there now; "
                "wait until nothing writes it, then try again",
                code="truncated" if after.st_size < before.st_size else "changed-while-read",
            )

    def file(self) -> int | None:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)


class StreamSource:
    """A pipe or socket: read once, in order. `size` is what was announced, if anything was."""

    def __init__(self, fd: int, name: str, size: int | None = None) -> None:
        self._fd = fd
        self.name = name
        self.size = size

    def pump(self, ring: Ring) -> None:
        total = 0
        pace = Pace()
        while True:
            place = ring.reserve()
            done = fill_slot(self._fd, ring, place, self.name)
            ring.publish(place, done, spread=pace.spread(ring))
            total += done
            if self.size is not None and total > self.size:
                raise SourceError(
                    f"{self.name} is longer than the announced {self.size} bytes", code="longer-than-announced"
                )
            if done < ring.slot_bytes:
                break
        if self.size is not None and total < self.size:
            raise SourceError(
                f"{self.name} ended after {total} of the announced {self.size} bytes; "
                "find out why its writer stopped, then try again",
                code="truncated",
            )

    def file(self) -> int | None:
        return None

    def close(self) -> None:
        if self._fd > 2:
            os.close(self._fd)


def fill_slot(fd: int, ring: Ring, place: int, name: str, arrived: Callable[[int], None] | None = None) -> int:
    """Read from a stream until the slot at `place` is full or the stream ends; the number of bytes.

    `arrived` is called with the length of each piece.

    A slot is filled before it is shown: many small chunks would cost every reader a wake-up each. Raises
    Stopped as soon as the pass has ended, also while the stream's writer is silent, and SourceError.
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(ring.stop_fd, select.POLLIN)
    done = 0
    while done < ring.slot_bytes:
        if any(ready == ring.stop_fd for ready, _ in poll.poll()):
            raise Stopped
        try:
            got = os.readv(fd, [ring.view[place + done : place + ring.slot_bytes]])
        except OSError as error:
            raise SourceError(f"{name} cannot be read: {error.strerror}") from error
        if not got:
            break
        done += got
        if arrived is not None:
            arrived(got)
    return done


def open_source(path: str, *, size: int | None = None) -> FileSource | StreamSource:
    """Open `path`, or standard input for ``-``. `size` is what the caller was told to expect, in bytes.

    Raises PlanError if there is no such image, with a sentence that names it.
    """
    if path == "-":
        fd, name = 0, "standard input"
    else:
        name = path
        try:
            # Without O_NONBLOCK a FIFO that nobody writes would hold us here, where no deadline counts (fifo(7)).
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            os.set_blocking(fd, True)
        except OSError as error:
            raise PlanError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        try:
            mode = os.fstat(fd).st_mode
        except OSError as error:
            raise PlanError(f"{name} cannot be read: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            raise PlanError(f"{name} is a directory; name the image file inside it")
        if stat.S_ISREG(mode) and path != "-":
            source = FileSource(fd, name)
            if size is not None and source.size != size:
                raise PlanError(f"{path} has {source.size} bytes, not the announced {size}")
            return source
        if stat.S_ISBLK(mode) and size is None:
            size = os.lseek(fd, 0, os.SEEK_END)
            os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        if path != "-":
            os.close(fd)
        raise
    return StreamSource(fd, name, size)


def _data_extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are not holes, as [start, end), small holes taken in; lseek(2), SEEK_DATA."""
    at = 0
    pending: tuple[int, int] | None = None
    while at < size:
        try:
            start = min(os.lseek(fd, at, os.SEEK_DATA), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                break
            start = at  # the file system cannot tell
            end = size
        else:
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size) if start < size else size
        if pending is not None and start - pending[1] < MIN_HOLE_BYTES:
            pending = (pending[0], end)
        else:
            if pending is not None:
                yield pending
            pending = (0 if start < MIN_HOLE_BYTES else start, end)
        at = end
    if pending is not None:
        yield (pending[0], size if size - pending[1] < MIN_HOLE_BYTES else pending[1])
