"""Strike the site: kinds of faults in an order that the seed draws, several at once on different parts."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from bench.driving import WrongOutcome
from bench.harness import progress

from .clock_faults import StepDatabase, StepMachine
from .database_faults import FailOver, RestartDatabase
from .disk_faults import FillDisk
from .faults import Fault
from .network_faults import CutFromDatabase, CutFromStore
from .process_faults import KillDoor, KillMachine, KillWorker, StopMachine
from .site import Site

KINDS: tuple[type[Fault], ...] = (
    KillWorker, KillMachine, StopMachine, CutFromDatabase, KillDoor, RestartDatabase, FailOver, CutFromStore,
    StepMachine, StepDatabase, FillDisk,
)  # fmt: skip


class Striking:
    """A thread for each part of the site: it strikes with all its kinds, in turn, until the end. Use as a context."""

    def __init__(self, site: Site, seed: int, pause: float) -> None:
        """`pause`: the seconds between two faults of a part, on average."""
        self.counts: Counter[str] = Counter()
        self._pause = pause
        self._is_over = threading.Event()
        self._errors: list[BaseException] = []
        kinds: dict[str, list[type[Fault]]] = {}
        for kind in KINDS:
            kinds.setdefault(kind.part, []).append(kind)
        self._threads = []
        for part, of_part in kinds.items():
            chance = random.Random(f"{seed} {part}")
            faults = [kind(site, chance, self._is_over) for kind in of_part]
            self._threads.append(threading.Thread(target=self._guarded(part, faults, chance), name=part, daemon=True))

    @property
    def has_struck_with_all(self) -> bool:
        """True if every kind has struck."""
        return len(self.counts) == len(KINDS)

    def check(self) -> None:
        """Raises WrongOutcome if a fault could not be brought about or mended."""
        if self._errors:
            raise WrongOutcome(f"a fault failed: {self._errors[0]!r}") from self._errors[0]

    def _guarded(self, part: str, faults: list[Fault], chance: random.Random) -> Callable[[], None]:
        def run() -> None:
            try:
                self._strike(part, faults, chance)
            except BaseException as error:
                self._errors.append(error)

        return run

    def _strike(self, part: str, faults: list[Fault], chance: random.Random) -> None:
        while not self._is_over.wait(chance.uniform(0, 2 * self._pause)):
            for fault in chance.sample(faults, len(faults)):
                if self._is_over.wait(chance.uniform(0, 2 * self._pause)):
                    return
                start = time.monotonic()
                fault.strike()
                self.counts[fault.name] += 1
                progress(f"  {fault.name}: {time.monotonic() - start:.0f} s")

    def __enter__(self) -> Striking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
