"""The reader of a ring that writes the image to a sink, around the page cache where that is known to work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .output import Output
from .page_cache import bypass_cache, use_cache
from .reader import ThreadReader
from .ring import Chunk, Ring
from .sink import Sink
from .zeros import data_runs

if TYPE_CHECKING:
    from concurrent.futures import Future

PARALLEL_WRITES = 4
"""Writes at a time that bypass the cache: nothing else overlaps them with the disk's latency then."""

DIRECT_BLOCK_BYTES = 4096
"""O_DIRECT needs offsets, lengths and memory in multiples of the device's logical block, which is 512 or 4096 bytes
(open(2), "NOTES")."""

_WRITE_ENDED = Chunk(0, 0, None)
"""In the queue: a write has ended."""


class Writer(ThreadReader):
    """Writes a ring to a sink. Holes, and blocks that are zero, are not written: they stay holes.

    Unless the file shall be `cached`, since plugins read it at random, the writes bypass the page cache: 4 GiB through
    the cache took 8.5 s of a processor on the machine of docs/benchmarks.md, more than any digest, and 0.4 s around it;
    and the cache keeps what the host needs more.
    """

    def __init__(self, ring: Ring, sink: Sink, ended: Callable[[ThreadReader], None], *, cached: bool = False) -> None:
        super().__init__(ring, "writer", ended)
        self._sink = sink
        self.size: int | None = None
        self._direct = not cached and sink.fd is not None and bypass_cache(sink.fd)
        self._pending: deque[tuple[int, list[Future[None]]]] = deque()
        self._pool = None
        if self._direct:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(PARALLEL_WRITES, "douane-write")

    def cancel(self) -> None:
        """See :class:`ThreadReader`: also while nobody reads what is written."""
        super().cancel()
        if isinstance(self._sink, Output):
            self._sink.stop()

    def _read(self, chunk: Chunk) -> None:
        if chunk is _WRITE_ENDED:
            return
        writes: list[Future[None]] = []
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                for start, end in data_runs(view):
                    self._write_run(view[start:end], chunk.start + start, writes)
        self._pending.append((chunk.end, writes))

    def _release(self, chunk: Chunk) -> None:
        while self._pending and (
            len(self._pending) > PARALLEL_WRITES or all(write.done() for write in self._pending[0][1])
        ):
            self._wait()

    def _wait(self) -> None:
        end, writes = self._pending.popleft()
        for write in writes:
            write.result()
        self._ring.release(self, end)

    def _write_run(self, view: memoryview, offset: int, writes: list[Future[None]]) -> None:
        if self._direct and (offset % DIRECT_BLOCK_BYTES or len(view) % DIRECT_BLOCK_BYTES):
            self._flush()
            assert self._sink.fd is not None, "only a file's cache is bypassed"
            use_cache(self._sink.fd)
            self._direct = False
        if self._direct and self._pool is not None:
            write = self._pool.submit(self._write, view, offset)
            write.add_done_callback(lambda _: self._queue.put(_WRITE_ENDED))  # the ring may wait for this write alone
            writes.append(write)
        else:
            self._write(view, offset)

    def _flush(self) -> None:
        while self._pending:
            self._wait()

    def _write(self, view: memoryview, offset: int) -> None:
        with view:
            self._sink.write(view, offset)

    def _finish(self, size: int) -> None:
        self._flush()
        try:
            self._sink.finish(size)
        except OSError as error:
            raise self._sink.explain(error) from error
        self.size = size

    def _cleanup(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._pending.clear()
