"""What a fault is: it begins, lasts, and is mended; at most one at a time strikes the same part."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import ClassVar, TypeVar

from .site import Machine, Site

LEASE_SECONDS = 20.0
BEYOND_LEASE = LEASE_SECONDS + 4
"""How long a worker is stopped or cut off: then its tasks are another's."""

Item = TypeVar("Item")


class Fault(ABC):
    """A kind of fault. `strike` is called by one thread for each `part`."""

    name: ClassVar[str]
    part: ClassVar[str]
    """What it strikes: faults of the same part come one after the other."""

    def __init__(self, site: Site, chance: random.Random, is_over: Event) -> None:
        self.site = site
        self.chance = chance
        self._is_over = is_over

    @abstractmethod
    def strike(self) -> None:
        """Begin, last and mend."""

    def last(self, seconds: float) -> None:
        """Wait until the fault may be mended."""
        self._is_over.wait(seconds)

    @contextmanager
    def machine(self) -> Iterator[Machine]:
        """Any machine of workers that no other fault strikes; at least one of all is left alone."""
        with self.site.struck_machines:
            free = self.site.free_machines
            machine = free.pop(self.chance.randrange(len(free)))
            try:
                yield machine
            finally:
                free.append(machine)

    def pick(self, items: Sequence[Item]) -> Item:
        """Any of them."""
        return self.chance.choice(items)
