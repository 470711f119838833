"""A source for bytes that can be read at any offset but are no file, such as those of an object store."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Protocol

from douane.errors import SourceError
from douane.units import MiB, show_size

from .ring import Ring, RingStopped
from .source import FileSource, Source
from .zeros import data_runs

BLOCK_BYTES = 4 * MiB
"""Bytes of one read: a request to a server takes some milliseconds, whatever it asks for."""

READ_AHEAD = 4
"""Blocks that are read at a time, or wait to be passed on."""

STOP_SECONDS = 0.2
"""How long a run that has ended waits for the reads of its source."""


class Readable(Protocol):
    """What a store opens; see `douane.stores.StoredBytes`."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def fd(self) -> int | None:
        """A descriptor of the same bytes, if they are a file."""

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view`; fewer bytes only at the end. Called by several threads at once. Raises DouaneError."""

    def close(self) -> None:
        """Read no more."""


def source_of(stored: Readable, name: str) -> Source:
    """The source that reads `stored`, and closes it: a file by its descriptor, for its holes are known."""
    if stored.fd is None:
        return StoredSource(stored, name)
    try:
        return FileSource(os.dup(stored.fd), name)
    finally:
        stored.close()


class StoredSource:
    """Bytes that :class:`Readable` reads, some blocks ahead. Blocks of zeros become holes."""

    def __init__(self, stored: Readable, name: str) -> None:
        self.name = name
        self.size: int | None = stored.size
        self._stored = stored
        self._length = stored.size

    def pump(self, ring: Ring) -> None:
        """See :class:`~douane.stream.source.Source`. Memory: `READ_AHEAD` blocks."""
        threads = ThreadPoolExecutor(READ_AHEAD, "douane-source")
        pending: deque[tuple[int, memoryview, Future[int]]] = deque()
        free = [memoryview(bytearray(min(BLOCK_BYTES, self._length))) for _ in range(READ_AHEAD)]
        position = 0
        try:
            while position < self._length or pending:
                while free and position < self._length:
                    block = free.pop()[: self._length - position]
                    pending.append((position, block, threads.submit(self._stored.read_into, block, position)))
                    position += len(block)
                offset, block, read = pending.popleft()
                self._require_all(offset, len(block), _wait(read, ring))
                _pass_on(block, ring)
                free.append(block)
        finally:
            # A read whose server does not answer ends by itself; its run need not wait for it.
            threads.shutdown(wait=False, cancel_futures=True)

    def _require_all(self, offset: int, expected: int, count: int) -> None:
        if count != expected:
            raise SourceError(
                f"{self.name} ended after {show_size(offset + count)} of {show_size(self._length)}", code="truncated"
            )

    def file(self) -> int | None:
        """None: there is no file."""
        return None

    def close(self) -> None:
        """See :class:`~douane.stream.source.Source`."""
        self._stored.close()


def _wait(read: Future[int], ring: Ring) -> int:
    """The result of `read`. Raises RingStopped as soon as the run has ended."""
    while True:
        with contextlib.suppress(NotYet):
            return read.result(STOP_SECONDS)
        if ring.stopped:
            raise RingStopped


def _pass_on(block: memoryview, ring: Ring) -> None:
    for start in range(0, len(block), ring.slot_bytes):
        piece = block[start : start + ring.slot_bytes]
        if not data_runs(piece):
            ring.hole(len(piece))
            continue
        place = ring.reserve()
        ring.view[place : place + len(piece)] = piece
        ring.publish(place, len(piece))
