"""Processes and machines that die, or stop for longer than their lease."""

from __future__ import annotations

import contextlib
import signal

import psutil

from .faults import BEYOND_LEASE, Fault

DOOR = "douane.api.process.door"


class KillWorker(Fault):
    """kill -9 of one worker; its supervisor starts another."""

    name = "kill -9 of a worker"
    part = "machines"

    def strike(self) -> None:
        """See the class."""
        with self.machine() as machine:
            workers = machine.workers()
            if workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.pick(workers).kill()
            self.last(3.0)


class KillMachine(Fault):
    """A machine loses its power, and comes back after a while: nobody ends its leases."""

    name = "kill -9 of a machine"
    part = "machines"

    def strike(self) -> None:
        """See the class."""
        with self.machine() as machine:
            machine.kill()
            self.last(self.chance.uniform(1, BEYOND_LEASE))
            machine.start()


class StopMachine(Fault):
    """SIGSTOP of all processes of a machine, as of a paused guest, and SIGCONT when its leases have ended."""

    name = "SIGSTOP beyond the lease"
    part = "pauses"

    def strike(self) -> None:
        """See the class."""
        with self.machine() as machine:
            processes = machine.processes()  # its first process first, which would take the others for hung
            _send(processes, signal.SIGSTOP)
            self.last(BEYOND_LEASE)
            _send(processes[::-1], signal.SIGCONT)


class KillDoor(Fault):
    """kill -9 of a door; its supervisor starts another."""

    name = "kill -9 of a door"
    part = "doors"

    def strike(self) -> None:
        """See the class."""
        self.pick(self.site.doors).serve.kill(DOOR)
        self.last(14.0)  # the service gives up if a process dies more than 5 times in a minute


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
