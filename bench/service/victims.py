"""The processes that `kills.py` kills: workers and the door of a service, and the server of its database."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

from bench.databases import DatabaseServer
from bench.driving import WrongOutcome

from .server import Server

CRASHES = (signal.SIGKILL, signal.SIGQUIT)
"""In turn: `kill -9` of the first process, and what `pg_ctl stop -m immediate` sends it; MariaDB ends in order then."""
AWAY_SECONDS = 1.5
"""The longest time before the database is started again."""


class Child(NamedTuple):
    """A process that the supervisor has started: its kind, id, and time of start in the kernel's ticks."""

    kind: str
    pid: int
    started: int


class Victims:
    """Kills processes of a service in turn; `database` is the server of its catalog, if there is one."""

    def __init__(self, server: Server, workers: int, database: DatabaseServer | None, chance: random.Random) -> None:
        self._server = server
        self._database = database
        self._chance = chance
        half = workers // 2
        last = ["database"] if database is not None else []
        turns = [*["worker"] * (workers - half), "door", *["worker"] * half, *last]
        self.count = len(turns)
        """How many processes there are."""
        self._turns = itertools.cycle(turns)
        self._crashes = itertools.cycle(CRASHES)
        self._turn = next(self._turns)

    def kill(self) -> str | None:
        """Kill whose turn it is, the oldest of its kind; its kind, or None if it is just being started.

        The door is killed only when it answers, or nobody would get a request through.

        The supervisor starts another; the database is started again here. Raises WrongOutcome if the service has ended.
        """
        if self._server.has_ended:
            raise WrongOutcome(f"the service has ended:\n{self._server.log()}")
        turn = self._turn
        if turn == "door" and not self._server.answers():
            return None  # on a busy machine it may not have answered anybody since it was killed the last time
        if turn == "database":
            self._crash_database()
        else:
            children = [child for child in self._children() if child.kind == turn]
            if not children:
                return None
            oldest = min(children, key=lambda child: child.started)
            with contextlib.suppress(ProcessLookupError):
                os.kill(oldest.pid, signal.SIGKILL)
        self._turn = next(self._turns)
        return turn

    def _crash_database(self) -> None:
        assert self._database is not None, "it has a turn only if there is one"
        self._database.crash(next(self._crashes))
        time.sleep(self._chance.uniform(0, AWAY_SECONDS))
        self._database.start_again()

    def _children(self) -> list[Child]:
        children = []
        for task in Path(f"/proc/{self._server.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                for pid in map(int, (task / "children").read_text().split()):
                    with contextlib.suppress(OSError):  # it has just ended
                        children += _child(pid)
        return children


def _child(pid: int) -> list[Child]:
    """The door or worker with this process id; none if it is another process."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # The 22nd field of proc_pid_stat(5); process ids begin again at the smallest.
    return [Child(kind, pid, int(fields[19])) for kind in ("door", "worker") if f".{kind}\0".encode() in command]
