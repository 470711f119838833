"""The writer of the store: a reader of a ring that keeps what it reads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from . import zeros
from .direct_io import BLOCK_BYTES, bypass_cache, use_cache
from .reader import ThreadReader
from .ring import Chunk, Ring
from .sink import Sink, Spool

AT_ONCE = 4
"""Writes under way at a time where they bypass the cache: nobody else overlaps them with the disk's latency then."""

_WAKE = Chunk(0, 0, None)
"""In the queue: a write has ended."""


class Writer(ThreadReader):
    """Writes a ring to a file. Holes, and blocks that are zero, are not written: they stay holes.

    Unless the file will be `read_again` soon, it is written around the page cache where that is known to work
    (:mod:`direct`): 4 GiB through the cache took 8.5 s of a processor on the machine of docs/benchmarks.md, more
    than any digest, and 0.4 s around it; and the cache keeps what the host needs more.
    """

    def __init__(
        self, ring: Ring, sink: Sink, ended: Callable[[ThreadReader], None], *, read_again: bool = False
    ) -> None:
        super().__init__(ring, "writer", ended)
        self._sink = sink
        self.size: int | None = None
        self.spools = isinstance(sink, Spool)
        self._direct = not read_again and bypass_cache(sink.fd)
        self._under_way: deque[tuple[int, list[Future[None]]]] = deque()
        self._pool = ThreadPoolExecutor(AT_ONCE, "douane-write") if self._direct else None

    def _take(self, chunk: Chunk) -> None:
        if chunk is _WAKE:
            return
        writes: list[Future[None]] = []
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                for start, end in zeros.runs(view):
                    self._keep(view[start:end], chunk.start + start, writes)
        self._under_way.append((chunk.end, writes))

    def _let_go(self, chunk: Chunk) -> None:
        while self._under_way and (
            len(self._under_way) > AT_ONCE or all(write.done() for write in self._under_way[0][1])
        ):
            self._wait()

    def _wait(self) -> None:
        end, writes = self._under_way.popleft()
        for write in writes:
            write.result()
        self._ring.release(self, end)

    def _keep(self, view: memoryview, at: int, writes: list[Future[None]]) -> None:
        if self._direct and (at % BLOCK_BYTES or len(view) % BLOCK_BYTES):
            self._flush()
            use_cache(self._sink.fd)
            self._direct = False
        if self._direct and self._pool is not None:
            write = self._pool.submit(self._write, view, at)
            write.add_done_callback(lambda _: self._queue.put(_WAKE))  # the ring may be waiting for just this one
            writes.append(write)
        else:
            self._write(view, at)

    def _flush(self) -> None:
        while self._under_way:
            self._wait()

    def _write(self, view: memoryview, at: int) -> None:
        with view:
            done = 0
            while done < len(view):
                try:
                    done += os.pwrite(self._sink.fd, view[done:], at + done)
                except OSError as error:
                    raise self._sink.explain(error) from error

    def _end(self, size: int) -> None:
        self._flush()
        try:
            self._sink.finish(size)
        except OSError as error:
            raise self._sink.explain(error) from error
        self.size = size

    def _drop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._under_way.clear()
