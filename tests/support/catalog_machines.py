"""The machine of `catalog_workers.py` on a clock that is set, with stores that not all reach, cordons, heartbeats, a
database that is away, lost answers and doubled messages.

The model has its own record of every heartbeat, and predicts from it which tasks count as those of dead workers.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from douane.catalog import Task
from douane.catalog.clock import LEASE_SECONDS
from douane.catalog.leases import RELEASED
from douane.catalog.workers import FORGOTTEN_SECONDS, SILENCE_SECONDS

from .catalog import make_ready, record_staged
from .catalog_workers import FAILURE, HANDLES, WORKERS, Workers
from .database_clock import DatabaseClock, set_clocks

HOSTS = {"door": "one", "a": "one", "b": "two"}
NAMES = st.sampled_from(WORKERS)
REACHED = st.sampled_from([None, ("file",), ("ceph",), ("ceph", "file")])
LEAST_SECONDS = 100.0
"""After which every lease has ended, and every grace."""


class Machines(Workers):
    """A subclass opens the catalog."""

    @initialize()
    def begin(self) -> None:
        self.patched = ExitStack()
        self.patched.enter_context(set_clocks())
        self.heartbeats: dict[str, float] = {}  # the last heartbeat of each process, also of those that are gone
        self.living: set[str] = set()
        self.cordoned: set[str] = set()
        self.states: dict[str, str] = {}
        self.grace_until = 0.0
        self.set_back = 0.0
        self.catalog = self.open_catalog()
        self.clock = DatabaseClock(self.catalog)
        opened = self.catalog
        self.open_catalog = lambda: opened  # type: ignore[method-assign]
        super().begin()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "patched"):
                self.patched.close()

    # -- what the model predicts

    def is_silent(self) -> bool:
        return not any(time > self.clock.now - SILENCE_SECONDS for time in self.heartbeats.values())

    def note_heartbeat(self, worker: str) -> None:
        if self.is_silent():
            self.grace_until = self.clock.now + LEASE_SECONDS
        self.heartbeats[worker] = self.clock.now

    def is_dead(self, task: Task) -> bool:
        if task.lease_until is None or task.lease_until == RELEASED:
            return task.lease_until == RELEASED
        ended = datetime.fromisoformat(task.lease_until).timestamp() <= self.clock.now + 0.0005
        # A grace that a clock gave which has been set back since is none: leases end later with it, too.
        in_grace = self.clock.now < self.grace_until <= self.clock.now + LEASE_SECONDS
        return ended and not self.is_silent() and not in_grace

    def can_run(self, task: Task, reached: Collection[str] | None) -> bool:
        """From the task's fields, and not from its needs."""
        if reached is None:
            return True
        holding = set(self.catalog.image(task.image_id).stores)
        source = task.source if isinstance(task.source, dict) else {}
        staged = holding if task.method == "copy-image" else {source["store"]} if source.get("store") else set()
        written = set(task.stores) - (holding if task.method == "copy-image" else set()) if task.requested else set()
        return written <= set(reached) and (not staged or bool(staged & set(reached)))

    def is_halted(self, worker: str) -> bool:
        return self.states.get(worker) in ("cordoned", "drained") and worker in self.living

    # -- workers

    @rule(worker=NAMES, reached=REACHED)
    def claim(self, worker: str, reached: Collection[str] | None = None) -> None:
        waiting = [task for task in self.unfinished() if task.step == "waiting" and self.can_run(task, reached)]
        task = self.keep(self.catalog.claim(worker, reached=reached))
        expected = waiting[0] if waiting and not self.is_halted(worker) else None
        assert (task and task.id) == (expected and expected.id), "the oldest that it can run"
        assert task is None or expected is None or task.token > expected.token

    @rule(worker=NAMES)
    def claim_and_lose_the_answer(self, worker: str) -> None:
        """The worker never learns that it has the task, so nobody renews its lease."""
        self.catalog.claim(worker)

    @rule(worker=NAMES)
    def join(self, worker: str) -> None:
        self.note_heartbeat(worker)
        state = self.catalog.join(worker, host=HOSTS[worker], pid=1, version="1", stores=["file"])
        assert state == ("cordoned" if {worker, HOSTS[worker]} & self.cordoned else "active")
        self.living.add(worker)
        self.states[worker] = state

    @rule(worker=NAMES)
    def beat(self, worker: str) -> None:
        """As the thread of a worker does, which joins if the catalog does not know it."""
        is_member = worker in self.living
        silent = self.is_silent()
        state = self.catalog.beat(worker)
        assert (state is not None) == is_member
        if is_member:
            self.note_heartbeat(worker)
            assert state == self.states[worker]
        elif silent:
            self.grace_until = self.clock.now + LEASE_SECONDS  # somebody reached the database

    @rule(worker=NAMES, dies=st.booleans())
    def beat_or_die(self, worker: str, dies: bool) -> None:
        super().beat_or_die(worker, dies)
        if dies:
            self.living.discard(worker)

    @rule(place=st.sampled_from([*WORKERS, "one", "two"]))
    def cordon(self, place: str) -> None:
        count = self.catalog.cordon(place)
        self.cordoned.add(place)
        hit = {worker for worker in self.living if place in (worker, HOSTS[worker])}
        assert count == len({worker for worker in hit if self.heartbeats[worker] > self.clock.now - 60.0})
        for worker in hit:
            if self.states[worker] == "active":
                self.states[worker] = "cordoned"

    @rule(place=st.sampled_from([*WORKERS, "one", "two"]))
    def uncordon(self, place: str) -> None:
        self.catalog.uncordon(place)
        self.cordoned.discard(place)
        for worker in self.living:
            if place in (worker, HOSTS[worker]) and not {worker, HOSTS[worker]} & self.cordoned:
                self.states[worker] = "active"

    @rule(worker=NAMES)
    def say_drained(self, worker: str) -> None:
        fits = self.is_halted(worker)
        assert self.catalog.drained(worker) == fits
        if fits:
            self.states[worker] = "drained"

    # -- the clock, and a database that is away

    @rule(seconds=st.sampled_from([3.0, 6.0, 9.0, 12.0, 21.0, 90.0]), beating=st.sets(NAMES))
    def time_passes(self, seconds: float, beating: set[str]) -> None:
        """Without a heartbeat, the database was away, or its clock was set forward; with one, it came just before."""
        self.clock.step(seconds - 0.5)
        for worker in sorted(beating & self.living):
            self.beat(worker)
        self.clock.step(0.5)

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.clock.step(-seconds)
        self.set_back += seconds  # so much longer last the leases of those that have died

    @rule(workers=st.sets(NAMES, min_size=1), seconds=st.sampled_from([25.0, 600.0]))
    def the_database_comes_back(self, workers: set[str], seconds: float) -> None:
        """Nobody takes over what a living worker has: all come back within the time of a lease."""
        for worker in sorted(workers):
            self.join(worker)
        leased = {
            task.id: task for task in self.unfinished() if task.worker in workers and task.lease_until != RELEASED
        }
        for worker in sorted(workers):
            self.catalog.hold(worker, [task.id for task in leased.values() if task.worker == worker])
        self.clock.step(seconds)
        first, *later = sorted(workers)
        self.beat(first)
        assert not {task.id for task in self.catalog.dead_tasks()} & set(leased)
        self.clock.step(6.0)
        for worker in [*later, first]:
            self.catalog.hold(worker, [task.id for task in leased.values() if task.worker == worker])
            self.beat(worker)
        self.clock.step(3.0)
        assert not {task.id for task in self.catalog.dead_tasks()} & set(leased)

    # -- doubled messages

    @precondition(lambda self: self.handles)
    @rule(handle=HANDLES, doing=st.sampled_from(["activate", "fail", "make_ready", "record_staged", "release", "take"]))
    def send_twice(self, handle: Task, doing: str) -> None:
        """The answer was lost, so the message is sent again: the second changes nothing."""
        importing = self.status(handle.image_id) == "importing"
        if doing == "make_ready" and not importing:
            return  # no worker publishes what nobody asked to import
        calls: dict[str, Any] = {
            "activate": lambda: self.catalog.activate(handle, ["file"]),
            "fail": lambda: self.catalog.fail(handle, **FAILURE),
            "make_ready": lambda: make_ready(self.catalog, handle),
            "record_staged": lambda: record_staged(self.catalog, handle),
            "release": lambda: self.catalog.release(handle, source={"spool": handle.staged_key}),
            "take": lambda: self.catalog.take(handle.id, handle.token, "b"),
        }
        for _ in range(2):
            content = self.rows()
            try:
                result = calls[doing]()
            except Exception as error:
                assert getattr(error, "code", None) in ("lost-task", "wrong-state"), error
                assert self.rows() == content
                continue
            if doing in ("make_ready", "take"):
                self.keep(result)
        content = self.rows()
        try:
            calls[doing]()
        except Exception as error:
            assert getattr(error, "code", None) in ("lost-task", "wrong-state"), error
        assert self.rows() == content

    # -- at all times

    @invariant()
    def those_are_dead_whose_workers_had_the_time_to_come_back(self) -> None:
        if hasattr(self, "clock"):
            expected = {task.id for task in self.unfinished() if self.is_dead(task)}
            assert {task.id for task in self.catalog.dead_tasks()} == expected

    def everything_ends(self) -> None:
        """All machines lose their power at once: a new one begins, and nothing is stuck."""
        self.clock.step(LEAST_SECONDS + self.set_back)
        leased = {task.id for task in self.unfinished() if task.worker is not None}
        released = {task.id for task in self.unfinished() if task.lease_until == RELEASED}
        self.catalog.join("new", host="new", pid=1, version="1")
        assert {task.id for task in self.catalog.dead_tasks()} == released
        for _ in range(4):
            self.clock.step(5.5)
            assert self.catalog.beat("new") == "active"
        assert {task.id for task in self.catalog.dead_tasks()} == leased
        super().everything_ends()
        self.clock.step(FORGOTTEN_SECONDS + 1)
        self.catalog.forget_workers()
        assert self.catalog.workers() == []
