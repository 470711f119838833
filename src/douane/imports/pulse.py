"""The sign of life of a process of the service: a byte in a pipe, which the supervisor reads.

A process that is stopped, or that waits for its disk, keeps its locks in the catalog, and everybody else waits for it.
Its leases would end, and it would still hold up the others, so the supervisor kills it when it is silent for as long.
"""

from __future__ import annotations

import os
import threading

BEAT_SECONDS = 5.0


def beat(fd: int) -> None:
    """Give the sign once. A supervisor that is gone, or that reads nothing, is not waited for."""
    try:
        os.write(fd, b".")
    except OSError:
        return


class Pulse:
    """A thread that gives the sign as long as the process runs. It uses nothing that others could hold up."""

    def __init__(self, fd: int, seconds: float = BEAT_SECONDS) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._seconds = seconds
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="douane-pulse", daemon=True).start()

    def _run(self) -> None:
        beat(self._fd)
        while not self._ended.wait(self._seconds):
            beat(self._fd)

    def stop(self) -> None:
        """Give no more signs."""
        self._ended.set()
