"""The engine's own readers of a ring: digests, and the feeder of a program's input."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

from .errors import DouaneError, SinkError
from .ring import Chunk, Ring
from .scratch import nameless
from .units import MiB

ALGORITHMS = ("md5", "sha256", "sha512")
_ZEROS = bytes(MiB)


class Sink(Protocol):
    """Where the image is to be kept: a descriptor that is written at offsets, and what ends it."""

    @property
    def fd(self) -> int: ...

    def open_read(self) -> int:
        """A read-only descriptor of the same file; the caller closes it."""

    def finish(self, size: int) -> None:
        """All is written; `size` is the number of bytes, holes at the end included. Durable on return."""

    def explain(self, error: OSError) -> Exception:
        """`error`, which writing to `fd` raised, as a sentence that says where and what to do; with a `code`."""


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


class Digest(ThreadReader):
    """One digest of all bytes of a ring; `hexdigest` is there when `join` has returned."""

    def __init__(self, ring: Ring, algorithm: str, ended: Callable[[ThreadReader], None]) -> None:
        super().__init__(ring, algorithm, ended)
        self.algorithm = algorithm
        self.hexdigest: str | None = None
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def _take(self, chunk: Chunk) -> None:
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                self._hash.update(view)
            return
        left = chunk.end - chunk.start
        while left and not self._cancelled:
            self._hash.update(_ZEROS[:left] if left < len(_ZEROS) else _ZEROS)
            left -= min(left, len(_ZEROS))

    def _end(self, size: int) -> None:
        self.hexdigest = self._hash.hexdigest()


class Feeder(ThreadReader):
    """Writes a ring into the standard input of a program, straight from the ring's memory."""

    def __init__(self, ring: Ring, fd: int, ended: Callable[[ThreadReader], None], *, essential: bool) -> None:
        super().__init__(ring, "feeder", ended)
        self.essential = essential
        self.sent = 0
        self.consumed = 0
        self._fd = fd
        self._enough = False
        self.overran = False
        self.ended = False

    def push(self, chunks: Sequence[Chunk]) -> None:
        self.sent = chunks[-1].end
        super().push(chunks)

    def overrun(self) -> None:
        self.overran = True
        self.cancel()

    def _take(self, chunk: Chunk) -> None:
        if self._enough or self.overran:
            return
        if chunk.place is not None:
            with self._bytes(chunk) as view:
                self._feed(view, chunk.start)
            return
        left = chunk.end - chunk.start
        while left and not self._enough and not self._cancelled:
            part = min(left, len(_ZEROS))
            self._feed(memoryview(_ZEROS)[:part], chunk.end - left)
            left -= part

    def _feed(self, view: memoryview, at: int) -> None:
        done = 0
        while done < len(view):
            try:
                done += os.write(self._fd, view[done:])
            except OSError:  # EPIPE: the program has closed its input, it has seen enough
                self._enough = True
                return
            self.consumed = at + done

    def _end(self, size: int) -> None:
        os.close(self._fd)
        self._fd = -1
        self.ended = True

    def close(self) -> None:
        """Close the pipe, after `join`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Spool:
    """A file without a name, for plugins that read at random what has no file of its own."""

    def __init__(self) -> None:
        where = tempfile.gettempdir()
        try:
            self.fd = nameless(where)
        except OSError as error:
            raise DouaneError(
                f"the image cannot be kept for those who read it at random: {error.strerror} in {where}; "
                "set TMPDIR to another place"
            ) from error
        os.fchmod(self.fd, 0o444)  # it has no name; a caged process of another user id may open it by its descriptor

    def open_read(self) -> int:
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, size: int) -> None:
        os.ftruncate(self.fd, size)

    def explain(self, error: OSError) -> Exception:
        where = tempfile.gettempdir()
        return SinkError(
            "temporary-full",
            f"the image could not be kept for those who read it at random: {error.strerror} in {where}; "
            "free some space there, or set TMPDIR to another place",
        )

    def close(self) -> None:
        """Give it up: nothing is left of it."""
        os.close(self.fd)
