"""A reader of a ring with a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from douane.errors import DouaneError
from douane.units import MiB

from .ring import Chunk, Ring

ZEROS = bytes(MiB)


class ThreadReader:
    """A reader with a thread of its own, so that hashing and writing run beside each other without the GIL."""

    essential = True
    spools = False
    """True for the writer of a file that is not the one that is stored."""

    def __init__(self, ring: Ring, name: str, ended: Callable[[ThreadReader], None]) -> None:
        self.released = 0
        self.error: DouaneError | None = None
        self.done = False
        self._cancelled = False
        self._ring = ring
        self._ended = ended
        self._queue: SimpleQueue[Chunk | int | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"douane-{name}", daemon=True)

    def start(self) -> None:
        self._ring.attach(self)
        self._thread.start()

    def push(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self._queue.put(chunk)

    def finish(self, size: int) -> None:
        self._queue.put(size)

    def overrun(self) -> None:
        raise AssertionError("the ring waits for its own readers")

    def cancel(self) -> None:
        """End without the rest, also in the middle of a hole: digesting 8 GiB of zeros takes half a minute."""
        self._cancelled = True
        self._queue.put(None)

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                item = self._queue.get()
                if self._cancelled:
                    return
                if isinstance(item, Chunk):
                    self._take(item)
                    self._let_go(item)
                else:
                    if item is not None:
                        self._end(item)
                    return
        except DouaneError as error:
            # Its frames hold pieces of the ring, which could not be closed then.
            error.__cause__ = error.__context__ = None
            self.error = error.with_traceback(None)
        except Exception as error:  # a fault of ours: the image is not let in, and the loop must hear of it
            self.error = DouaneError(f"the engine failed in {self._thread.name}: {error!r}")
        finally:
            self._drop()
            self._ring.detach(self)
            self.done = True
            self._ended(self)

    def _take(self, chunk: Chunk) -> None:
        raise NotImplementedError

    def _let_go(self, chunk: Chunk) -> None:
        self._ring.release(self, chunk.end)

    def _end(self, size: int) -> None:
        """All chunks have been taken."""

    def _drop(self) -> None:
        """The thread ends, for whatever reason: the ring's memory must not be touched after this."""

    def _bytes(self, chunk: Chunk) -> memoryview:
        assert chunk.place is not None
        return self._ring.view[chunk.place : chunk.place + chunk.end - chunk.start]
