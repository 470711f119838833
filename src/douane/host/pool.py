"""Plugin processes between two images: which one may serve the next, and when it ends.

A process serves further images only where the operator says so (`reuse`), and only after an answer of its own. The pool
belongs to one thread, with whose end the kernel ends its processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from douane.plan.model import Plan
from douane.plan.resolve import ResolvedPlugin
from douane.sandbox import Tier

IDLE_SECONDS = 60.0
"""A process that waits longer for its next image ends."""

MAX_IDLE = 8
"""Processes that wait in one pool."""


class PoolKey(msgspec.Struct, frozen=True):
    """What a process was started for. It serves an image only if all of this is the same."""

    plan: Plan
    plugin: ResolvedPlugin
    """Its table, its code with the digest, its interpreter and its programs."""

    tier: Tier
    files: tuple[tuple[object, ...], ...]
    """The identities of the granted files and folders: what a plugin keeps of one may be wrong when it has changed."""


class IdleProcess(Protocol):
    """A process that has answered."""

    key: PoolKey
    served: int
    """The images that it has served."""

    def is_fit(self) -> bool:
        """True if it waits for an image, and nothing of the image before runs on in it."""

    def end(self) -> None:
        """Kill it and give everything back."""


P = TypeVar("P", bound=IdleProcess)


class ProcessPool(Generic[P]):
    """The idle processes of one thread."""

    def __init__(
        self,
        limit: int = MAX_IDLE,
        seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._idle: list[tuple[float, P]] = []  # the oldest first
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._idle)

    def park(self, process: P) -> None:
        """Keep `process` for another image, or end it: it has served all that it may, or there is no place."""
        if self._is_closed or process.served >= process.key.plugin.spec.reuse:
            process.end()
            return
        self._idle.append((self._clock(), process))
        if len(self._idle) > self._limit:
            self._idle.pop(0)[1].end()

    def take(self, key: PoolKey) -> P | None:
        """A process for another image, which is the caller's now; None if there is none that is fit."""
        self.expire()
        for entry in [entry for entry in reversed(self._idle) if entry[1].key == key]:
            self._idle.remove(entry)
            if entry[1].is_fit():
                return entry[1]
            entry[1].end()
        return None

    def expire(self) -> None:
        """End the processes that have waited too long."""
        end = self._clock() - self._seconds
        while self._idle and self._idle[0][0] < end:
            self._idle.pop(0)[1].end()

    def check(self) -> None:
        """End the processes that have waited too long, or are not fit for another image."""
        self.expire()
        for entry in list(self._idle):
            if not entry[1].is_fit():
                self._idle.remove(entry)
                entry[1].end()

    def close(self) -> None:
        """End all processes; those that are parked later end at once. Idempotent."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[1].end()
