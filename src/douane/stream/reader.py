"""A reader of a ring with a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from douane.errors import DouaneError

from .ring import Chunk, Ring


class ThreadReader:
    """Base of the engine's own readers: each has a thread, so that they hash and write in parallel without the GIL.

    A subclass implements `_read`, and `_finish` and `_cleanup` if it needs them. `ended` is called from the thread.
    """

    essential = True

    def __init__(self, ring: Ring, name: str, ended: Callable[[ThreadReader], None]) -> None:
        self.released = 0
        self.error: DouaneError | None = None
        self.is_done = False
        self._cancelled = False
        self._ring = ring
        self._ended = ended
        self._queue: SimpleQueue[Chunk | int | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"douane-{name}", daemon=True)

    def start(self) -> None:
        """Attach to the ring, and start the thread."""
        self._ring.attach(self)
        self._thread.start()

    def push(self, chunks: Sequence[Chunk]) -> None:
        """See :class:`Reader`."""
        for chunk in chunks:
            self._queue.put(chunk)

    def finish(self, size: int) -> None:
        """See :class:`Reader`."""
        self._queue.put(size)

    def overrun(self) -> None:
        """Never called: the ring waits for its own readers."""
        raise AssertionError("the ring waits for its own readers")

    def cancel(self) -> None:
        """End without the rest, also in the middle of a hole: a digest of 8 GiB of zeros takes half a minute."""
        self._cancelled = True
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread, if it was started."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._read_all()
        except DouaneError as error:
            # The frames of its traceback hold pieces of the ring, which could not be closed then.
            error.__cause__ = error.__context__ = None
            self.error = error.with_traceback(None)
        except Exception as error:  # a fault of ours: the image is not let in, and the loop must hear of it
            self.error = DouaneError(f"the engine failed in {self._thread.name}: {error!r}")
        finally:
            self._cleanup()
            self._ring.detach(self)
            self.is_done = True
            self._ended(self)

    def _read_all(self) -> None:
        while True:
            message = self._queue.get()
            if self._cancelled or message is None:
                return
            if not isinstance(message, Chunk):
                self._finish(message)
                return
            self._read(message)
            self._release(message)

    def _read(self, chunk: Chunk) -> None:
        raise NotImplementedError

    def _release(self, chunk: Chunk) -> None:
        self._ring.release(self, chunk.end)

    def _finish(self, size: int) -> None:
        """All chunks were read; the image has `size` bytes."""

    def _cleanup(self) -> None:
        """The thread ends, for whatever reason: the ring's memory must not be touched after this."""

    def _bytes(self, chunk: Chunk) -> memoryview:
        assert chunk.place is not None
        return self._ring.view[chunk.place : chunk.place + chunk.end - chunk.start]
