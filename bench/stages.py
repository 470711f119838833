"""One import as a process, watched from outside, so that it can be killed at a known stage."""

from __future__ import annotations

import itertools
import os
import random
import select
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import driving

STAGES = ("its start", "its first byte was staged", "its last byte was staged", "its bytes were published")
"""The start of each stage; the last stage lasts until the process ends."""

POLL_INTERVAL_S = 0.001


class Engine:
    """`douane import` of an image of `size` bytes into `home`. A context that kills the process at its end."""

    def __init__(self, words: Sequence[str], home: Path, size: int, log: Path) -> None:
        self._staging = home / "store" / "staging"
        self._images = home / "store" / "images"
        self._earlier = set(listed(self._images))
        self._size = size
        with log.open("wb") as output:
            self._process = subprocess.Popen(words, stdout=output, stderr=output, env=driving.environment())
        self._fd = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def has_ended(self, within: float | None = 0) -> bool:
        """Wait at most `within` seconds (None: without limit); True if the process has ended."""
        if within is None:
            self._poll.poll()
            return True
        end = time.monotonic() + within
        while not self._poll.poll(
            int(max(0, end - time.monotonic()) * 1000)
        ):  # poll counts whole ms; the rest is spent awake
            if time.monotonic() >= end:
                return False
        return True

    def reach(self, stage: int) -> None:
        """Wait until the process reaches `stage`, an index of STAGES, or ends."""
        while not self._has_reached(stage) and not self.has_ended(POLL_INTERVAL_S):
            pass

    def _has_reached(self, stage: int) -> bool:
        if stage == 0:
            return True
        if stage == len(STAGES) - 1:
            return bool(set(listed(self._images)) - self._earlier)
        return self._staged() >= (1 if stage == 1 else self._size) or self._has_reached(len(STAGES) - 1)

    def _staged(self) -> int:
        try:
            return max((path.stat().st_size for path in listed(self._staging)), default=0)
        except FileNotFoundError:
            return 0  # renamed or deleted meanwhile

    def kill(self) -> bool:
        """Kill the process alone with SIGKILL and reap it; False if it had ended by itself."""
        alive = not self.has_ended()
        self._process.kill()
        self._process.wait()
        return alive

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._fd)


class Pace:
    """The duration of each stage on this machine, and random instants in them."""

    def __init__(self, lengths: Sequence[Sequence[float]]) -> None:
        """`lengths` has the seconds of each stage, for each undisturbed import."""
        self.lengths = [statistics.median(of_stage) for of_stage in zip(*lengths, strict=True)]

    def instant(self, chance: random.Random) -> tuple[int, float]:
        """A stage, all equally likely, and the seconds to wait in it.

        The stages differ in length and in what a kill can break: instants evenly over the time would hardly ever hit
        the few milliseconds of publishing. Early instants of the last stage are more likely than late ones, as most of
        it is an interpreter that ends.
        """
        stage = chance.randrange(len(STAGES))
        part = chance.random()
        return stage, self.lengths[stage] * (part**3 if stage == len(STAGES) - 1 else part)

    def __str__(self) -> str:
        parts = (
            f"{length * 1000:.0f} ms from when {stage}" for length, stage in zip(self.lengths, STAGES, strict=True)
        )
        return ", ".join(parts).replace("when its start", "its start")


def undisturbed(start: Callable[[], Engine], at_work: Callable[[], None]) -> list[float]:
    """Run one import to its end; return the seconds of each stage. Call `at_work` when the first byte is staged."""
    times = []
    with start() as engine:
        for stage in range(len(STAGES)):
            engine.reach(stage)
            times.append(time.monotonic())
            if stage == 1:
                at_work()
        engine.has_ended(None)
        times.append(time.monotonic())
    return [end - begin for begin, end in itertools.pairwise(times)]


def listed(directory: Path) -> list[Path]:
    """The entries of a directory; none if it does not exist."""
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
