"""A plugin process between two images, apart from any run: no loop watches it."""

from __future__ import annotations

import os
import select
import time

from douane import sandbox
from douane.stream.temp_files import ScratchFiles
from douane_plugin import wire

from .frames import Channel
from .limits import ALLOWANCE_BYTES
from .messages import Described, Violation
from .pipes import READ_BYTES
from .pool import PoolKey

IDLE_WITHIN_S = 1.0
"""Seconds from the question whether a process is fit until it must have given back its image, and ended its threads."""

_PAUSE_S = 0.01
_MOST_READS = 4
"""A pipe holds as much as one read takes (64 KiB, pipe(7))."""


class ParkedProcess:
    """See :class:`.pool.IdleProcess`. The next run takes the process out of it."""

    def __init__(
        self,
        key: PoolKey,
        process: sandbox.SandboxProcess,
        channel: Channel,
        pipes: dict[str, int],
        scratch: ScratchFiles | None,
        described: Described,
        loaded: sandbox.Usage,
        *,
        served: int,
        is_idle: bool,
    ) -> None:
        """`loaded` is what it used when its first instance was ready; `is_idle` says that IDLE has come."""
        self.key = key
        self.process = process
        self.channel = channel
        self.pipes = pipes
        """Our ends of its stdout and stderr, by name."""

        self.scratch = scratch
        self.described = described
        self.loaded = loaded
        self.served = served
        self._is_idle = is_idle
        self._empty_scratch()

    def is_fit(self) -> bool:
        """True if the process has said that it is idle, and has no more threads and processes than when it was loaded.
        Its memory and its temporary files are within their bounds.

        What it printed meanwhile is dropped: its image has been answered.
        """
        end = time.monotonic() + IDLE_WITHIN_S
        try:
            while self._has_valid_frames() and not self._is_idle:
                seconds = end - time.monotonic()  # also if something can always be read
                if seconds <= 0 or not self._poll(seconds) or not self.channel.receive():
                    return False
            if not self._is_idle:
                return False
            if self._poll(0.0) or self.channel.has_partial_frame or self.channel.has_unsent:
                return False  # it went on talking, or it has ended
            while not self._is_at_rest():
                if time.monotonic() >= end:
                    return False
                time.sleep(_PAUSE_S)  # a thread that was joined is still on its way out of the kernel
        except Violation:
            return False
        folder = self.process.temporary()
        if folder is not None and folder.is_over:
            return False
        self._empty_scratch()
        return self._drop_output() and self.process.poll() is None

    def _has_valid_frames(self) -> bool:
        """Take the frames that were received; False if there is another than an IDLE."""
        for kind, payload in self.channel.frames():
            if kind != wire.IDLE or payload or self._is_idle:
                return False
            self._is_idle = True
        return True

    def _poll(self, seconds: float) -> list[tuple[int, int]]:
        watch = select.poll()
        watch.register(self.channel.fileno(), select.POLLIN)
        watch.register(self.process.fileno(), select.POLLIN)
        return watch.poll(round(seconds * 1000))

    def _is_at_rest(self) -> bool:
        now = self.process.measure()
        fits = now.memory <= self.key.plugin.spec.memory + ALLOWANCE_BYTES
        return fits and now.threads <= self.loaded.threads and now.processes <= self.loaded.processes

    def _drop_output(self) -> bool:
        """Empty the pipes; False if there is more than they hold: the process goes on printing."""
        for fd in self.pipes.values():
            try:
                for _ in range(_MOST_READS):
                    if not os.read(fd, READ_BYTES):
                        return False
            except BlockingIOError:
                continue
            return False
        return True

    def _empty_scratch(self) -> None:
        if self.scratch is not None:
            self.scratch.empty()

    def end(self) -> None:
        """See IdleProcess."""
        self.process.kill()
        self.channel.close()
        for fd in self.pipes.values():
            os.close(fd)
        if self.scratch is not None:
            self.scratch.close()
