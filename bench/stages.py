"""One import as a process, watched from outside: how far it has come, so that it can be killed there."""

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
"""What a stage begins with; the last one lasts until the process has ended."""

LOOK_EVERY_S = 0.001


class Engine:
    """`douane import` of an image of `size` bytes into `home`. A context; what still runs at its end is killed."""

    def __init__(self, words: Sequence[str], home: Path, size: int, said: Path) -> None:
        self._staging = home / "store" / "staging"
        self._images = home / "store" / "images"
        self._before = set(listed(self._images))
        self._size = size
        with said.open("wb") as output:
            self._process = subprocess.Popen(words, stdout=output, stderr=output, env=driving.environment())
        self._fd = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def has_ended(self, within: float | None = 0) -> bool:
        """True if it has ended, after waiting for that at most `within` seconds (None: as long as it takes)."""
        if within is None:
            self._poll.poll()
            return True
        end = time.monotonic() + within
        while not self._poll.poll(int(max(0, end - time.monotonic()) * 1000)):  # whole ms asleep, the rest awake
            if time.monotonic() >= end:
                return False
        return True

    def reach(self, stage: int) -> None:
        """Wait until it has come to that one of STAGES, or has ended."""
        while not self._has_reached(stage) and not self.has_ended(LOOK_EVERY_S):
            pass

    def _has_reached(self, stage: int) -> bool:
        if stage == 0:
            return True
        if stage == len(STAGES) - 1:
            return bool(set(listed(self._images)) - self._before)
        return self._staged() >= (1 if stage == 1 else self._size) or self._has_reached(len(STAGES) - 1)

    def _staged(self) -> int:
        try:
            return max((path.stat().st_size for path in listed(self._staging)), default=0)
        except FileNotFoundError:
            return 0  # renamed or deleted between the two looks

    def kill(self) -> bool:
        """SIGKILL, to its process alone, and reap it; False if it had ended by itself."""
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
    """How long each stage takes on this machine, and a random instant in one of them."""

    def __init__(self, lengths: Sequence[Sequence[float]]) -> None:
        """`lengths`: of each undisturbed import, the seconds of each stage."""
        self.lengths = [statistics.median(of_stage) for of_stage in zip(*lengths, strict=True)]

    def instant(self, chance: random.Random) -> tuple[int, float]:
        """A stage, each as likely as the others, and the seconds to wait in it.

        The stages are as different in length as in what a kill can break there: evenly over the time, the few
        milliseconds of publishing would hardly ever be met. Most of the last stage is an interpreter that ends,
        hence the early instants of it more often than the late ones.
        """
        stage = chance.randrange(len(STAGES))
        part = chance.random()
        return stage, self.lengths[stage] * (part**3 if stage == len(STAGES) - 1 else part)

    def __str__(self) -> str:
        told = (f"{length * 1000:.0f} ms from when {stage}" for length, stage in zip(self.lengths, STAGES, strict=True))
        return ", ".join(told).replace("when its start", "its start")


def undisturbed(start: Callable[[], Engine], at_work: Callable[[], None]) -> list[float]:
    """Run one import to its end: the seconds of each stage. `at_work` is called when the first byte is staged."""
    came = []
    with start() as engine:
        for stage in range(len(STAGES)):
            engine.reach(stage)
            came.append(time.monotonic())
            if stage == 1:
                at_work()
        engine.has_ended(None)
        came.append(time.monotonic())
    return [end - begin for begin, end in itertools.pairwise(came)]


def listed(directory: Path) -> list[Path]:
    """What is in a directory; nothing if it is not there."""
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
