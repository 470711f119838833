"""A run of qemu-img: its output, its progress, its end."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess

from douane.plugins._stacks import small_stacks
from douane_plugin import Reject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAX_ERROR_BYTES = 4096
_MAX_OUTPUT_BYTES = 1 << 20
_POLL_MS = 1000
_PERCENT = re.compile(rb"\(([0-9.]+)/100%\)")
_FULL = (b"No space left on device", b"File too large", b"Disk quota exceeded")
_PATH = re.compile(r"/proc/self/fd/\d+|nbd:[^\s:]*")


class QemuImg:
    """A running qemu-img, ended at the latest by the context manager.

    `alive` is called whenever there is progress: in the percentage that it prints, or in the bytes on the disk of
    `watched`, a descriptor. The program has no time limit of its own: the plugin's limit ends every process in its
    sandbox.
    """

    def __init__(
        self, words: Sequence[str], fds: Sequence[int], alive: Callable[[], None], *, watched: int | None = None
    ) -> None:
        """Start `words` with `fds` inherited. Raises RuntimeError, with the remedy, if that fails."""
        self._name = words[0]
        self._alive = alive
        self._watched = watched
        self._size = 0
        self._errors = self._percentage = b""
        self.output = b""
        """The beginning of its standard output."""
        pipe = subprocess.PIPE
        try:
            with small_stacks():
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, pass_fds=list(fds)
                )
        except OSError as error:
            raise RuntimeError(_cannot_run(self._name, error)) from None
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
        """Return when `fd` can be read; read the program's output meanwhile."""
        self._poll.register(fd, select.POLLIN)
        while True:
            ready = [end for end, _ in self._poll.poll(_POLL_MS)]
            self._read(ready)
            if fd in ready:
                self._poll.unregister(fd)
                return

    def finish(self) -> int:
        """Wait for the exit status. Raises RuntimeError if the program was killed, or had no space to write."""
        while self._open:
            self._read([end for end, _ in self._poll.poll(_POLL_MS)])
        status = self._process.wait()
        if status == -signal.SIGXFSZ or (status and any(words in self._errors for words in _FULL)):
            raise RuntimeError(
                f"there was no space for the result of {self._name}: raise the plugin's 'scratch', or free space in "
                f"TMPDIR ({self.reason()})"
            )
        if status < 0:
            raise RuntimeError(
                f"{self._name} was ended by {signal.Signals(-status).name}; if its 'memory' was too small for this "
                f"image, raise it ({self.reason()})"
            )
        return status

    def succeed(self) -> None:
        """Wait for the exit status 0. Raises Reject with the program's reason, and RuntimeError as :meth:`finish`."""
        if self.finish():
            raise Reject(
                "convert-failed",
                f"the image cannot be converted: {self.reason()}; convert it where it was made, and upload the result",
            )

    def reason(self) -> str:
        """The last line of its errors, for a person."""
        lines = self._errors.decode(errors="replace").strip().splitlines()
        return _PATH.sub("the image", lines[-1])[:300] if lines else f"{self._name} gives no reason"

    def _read(self, ready: Sequence[int]) -> None:
        for fd in self._open.intersection(ready):
            data = os.read(fd, 1 << 16)
            if not data:
                self._poll.unregister(fd)
                self._open.remove(fd)
            elif fd == self._err:
                self._errors = (self._errors + data)[-_MAX_ERROR_BYTES:]
            else:
                if len(self.output) < _MAX_OUTPUT_BYTES:
                    self.output += data
                if (percentages := _PERCENT.findall(data)) and percentages[-1] != self._percentage:
                    self._percentage = percentages[-1]
                    self._alive()
        if self._watched is not None and (size := os.fstat(self._watched).st_blocks) != self._size:
            self._size = size
            self._alive()


def try_program(name: str) -> None:
    """Run the program once, before the first image comes. Raises ValueError, with the remedy, if that fails."""
    try:
        quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
        pid = os.posix_spawnp(name, [name, "--version"], os.environ, file_actions=quiet)
    except OSError as error:
        raise ValueError(_cannot_run(name, error)) from None
    if os.waitpid(pid, 0)[1]:
        raise ValueError(f"{name} is there, but does not run; try `{name} --version`")


def _cannot_run(name: str, error: OSError) -> str:
    """The message for the operator."""
    return f"{name} cannot be run here ({error}); write programs = [{name!r}] beside the plugin, and install it"
