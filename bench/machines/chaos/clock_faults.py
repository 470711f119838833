"""Clocks that are set by a minute: of a machine of workers, and of the database, whose clock leases are measured by."""

from __future__ import annotations

from support.stepped_clock import SteppedClock

from .faults import Fault

STEP_SECONDS = 60


class _Step(Fault):
    def step(self, clock: SteppedClock) -> None:
        """Set it forward or back, and right again."""
        clock.set(self.pick((STEP_SECONDS, -STEP_SECONDS)))
        self.last(self.chance.uniform(5, 15))
        clock.set(0)
        self.last(5.0)


class StepMachine(_Step):
    """The clock of a machine of workers."""

    name = "clock step of a machine"
    part = "clock of a machine"

    def strike(self) -> None:
        """See the class."""
        self.step(self.pick(self.site.machines).clock)


class StepDatabase(_Step):
    """The clock of the database: of both nodes."""

    name = "clock step of the database"
    part = "clock of the database"

    def strike(self) -> None:
        """See the class."""
        self.step(self.site.database_clock)
