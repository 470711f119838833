"""qemu-img at work: what it says, how far it is, how it ended."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess

from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KEPT_BYTES = 4096
_MOST_BYTES = 1 << 20
_LOOK_MS = 1000
_PERCENT = re.compile(rb"\(([0-9.]+)/100%\)")
_FULL = (b"No space left on device", b"File too large", b"Disk quota exceeded")
_PATH = re.compile(r"/proc/self/fd/\d+|nbd:[^\s:]*")


class QemuImg:
    """One run of it. Use it as a context manager: it does not outlive that.

    `alive` is called as long as something moves: the percentage that it tells, or the bytes on the disk of `watched`, a
    descriptor. There is no clock here: the plugin's own ends everything in its cage.
    """

    def __init__(
        self, words: Sequence[str], fds: Sequence[int], alive: Callable[[], None], *, watched: int | None = None
    ) -> None:
        """Start it with `fds` inherited. Raises RuntimeError, with what to do, if it cannot be run."""
        self._name = words[0]
        self._alive = alive
        self._watched = watched
        self._size = 0
        self._errors = self._said = b""
        self.output = b""
        """The beginning of what it says on its standard output."""
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, pass_fds=list(fds)
            )
        except OSError as error:
            raise RuntimeError(cannot_run(self._name, error)) from None
        assert self._process.stdout and self._process.stderr
        self._out, self._err = self._process.stdout.fileno(), self._process.stderr.fileno()
        self._poll = select.poll()
        self._open = {self._out, self._err}
        for fd in self._open:
            self._poll.register(fd, select.POLLIN)

    def __enter__(self) -> QemuImg:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def wait_for(self, fd: int) -> None:
        """Return when `fd` can be read; hear meanwhile what the program says."""
        self._poll.register(fd, select.POLLIN)
        while True:
            ready = [each for each, _ in self._poll.poll(_LOOK_MS)]
            self._hear(ready)
            if fd in ready:
                self._poll.unregister(fd)
                return

    def finish(self) -> int:
        """Wait for its end: its exit status. Raises RuntimeError if it was killed, or had no room to write."""
        while self._open:
            self._hear([each for each, _ in self._poll.poll(_LOOK_MS)])
        status = self._process.wait()
        if status == -signal.SIGXFSZ or (status and any(words in self._errors for words in _FULL)):
            raise RuntimeError(
                f"there was no room for what {self._name} makes: raise the plugin's 'scratch', or see that there is "
                f"room in TMPDIR ({self.reason()})"
            )
        if status < 0:
            raise RuntimeError(
                f"{self._name} was ended by {signal.Signals(-status).name}; if its 'memory' was too little for this "
                f"image, raise it ({self.reason()})"
            )
        return status

    def succeed(self) -> None:
        """Wait for its end, which must be a good one. Raises Reject, with its reason, and as :meth:`finish` does."""
        if self.finish():
            raise Reject(
                "convert-failed",
                f"the image cannot be converted: {self.reason()}; convert it where it was made, and upload the result",
            )

    def reason(self) -> str:
        """The last line of what it said, for a person."""
        lines = self._errors.decode(errors="replace").strip().splitlines()
        return _PATH.sub("the image", lines[-1])[:300] if lines else f"{self._name} does not say why"

    def _hear(self, ready: Sequence[int]) -> None:
        for fd in self._open.intersection(ready):
            data = os.read(fd, 1 << 16)
            if not data:
                self._poll.unregister(fd)
                self._open.remove(fd)
            elif fd == self._err:
                self._errors = (self._errors + data)[-_KEPT_BYTES:]
            else:
                if len(self.output) < _MOST_BYTES:
                    self.output += data
                if (told := _PERCENT.findall(data)) and told[-1] != self._said:
                    self._said = told[-1]
                    self._alive()
        if self._watched is not None and (size := os.fstat(self._watched).st_blocks) != self._size:
            self._size = size
            self._alive()


def cannot_run(name: str, error: OSError) -> str:
    """A sentence for the operator."""
    return f"{name} cannot be run here ({error}); write programs = [{name!r}] beside the plugin, and install it"
