"""A worker of the service: one import at a time, from a door as it comes, or from the queue.

``python -m douane.imports.worker SPEC`` runs it, with a :class:`WorkerSpec` as JSON. SIGTERM and SIGINT end it: what it
runs may take the time of grace, and is given back after that. SIGHUP has it read its plan again.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from douane import own_folders
from douane.catalog import Catalog, Task
from douane.catalog.waking import listen
from douane.engine.plan_runner import PlanRunner
from douane.errors import CatalogError, DouaneError
from douane.sandbox.priority import give_way

from . import tracing
from .chores import Chores
from .failures import failure_of
from .heartbeat import Heartbeat, Identity
from .inline_messages import Done
from .pulse import Pulse
from .reach import Reach
from .runs import Runs, Stopped
from .sender_pace import SenderPace
from .service_file import ServiceFile
from .service_log import configure_log
from .service_stores import open_stores
from .settings import is_shared_database
from .settling import Settling
from .task_sources import NAME
from .turns import Turns
from .wakeups import Wakeups
from .worker_side import DoorConnection, SentUpload, accept_door
from .worker_spec import WorkerSpec, service_of

log = logging.getLogger("douane")

NICENESS = 10
"""The door answers small calls in a millisecond beside busy workers then (IMAGE-API: 0.9 ms against 78 ms)."""

SESSION_NICENESS = 5
"""A third of the share of other sessions: two workers have what the service had as one. With 10 it is a tenth, and
imports beside other busy sessions of the host took up to 1.6 times as long."""

POLL_SECONDS = 1.0
"""A wake-up may be lost, or come from another machine: a worker looks by itself, at slightly different times."""

LISTENING_POLL_SECONDS = 10.0
"""How often it looks while the database tells it of tasks: with 100 idle workers, most of what the database did was to
say each second that nothing waits."""

KEPT_SECONDS = 0.5
"""How often processes between two images (`reuse`) are measured: one that an image took over could write files."""

SETTLE_SECONDS = 2.0
MIN_PAUSE_SECONDS = 0.05


class Worker:
    """One worker; made, run and closed by the main thread."""

    def __init__(self, spec: WorkerSpec, service: ServiceFile) -> None:
        self._spec = spec
        settings = self._settings = service.settings
        self._served = service.served
        self._stop_at: float | None = None
        self._must_reload = False
        self._settle_at = self._chores_at = self._look_at = 0.0
        self._looked_with: tuple[str, ...] = ()
        """The stores that it reached when it looked for a task last."""

        self._must_sweep = False
        self._turns = Turns(self._serve_door, self._take_task)
        self._closing = ExitStack()
        # The supervisor has opened the catalog. Its server may be away now: a worker that ended for that would be
        # started again until the service gives up, and the server is back in a moment.
        is_checked = spec.config is None
        catalog = Catalog(settings.database or Path(spec.home) / "catalog.sqlite3", is_checked=is_checked)
        self._closing.callback(catalog.close)
        stores = open_stores(settings, catalog, is_checked=is_checked)
        self._catalog = catalog
        self._stores = stores
        self._runner = PlanRunner(lambda: self._served)
        self._closing.callback(self._runner.close)
        self._runs = Runs(catalog, stores, settings, self._runner, lambda: self._served, self._check)
        self._reach = Reach(stores, catalog, service.identities, spec.name, alone=not is_shared_database(settings))
        self._closing.callback(self._reach.close)
        host = {} if spec.host is None else {"host": spec.host}
        self._heartbeat = Heartbeat(catalog, Identity(name=spec.name, **host), lambda: self._reach.ids)
        self._closing.callback(self._heartbeat.close)
        self._settling = Settling(catalog, stores, spec.name, self._heartbeat.working, lambda: self._reach.ids)
        self._chores = Chores(
            catalog, stores, self._settling, spec.name, settings.staged_expiry, lambda: self._reach.ids
        )
        place = settings.database or ""
        listener = listen(place) if settings.notify else None
        if listener is not None:
            self._closing.callback(listener.close)
        self._wakeups = Wakeups(spec, listener)

    # signals

    def catch_signals(self) -> None:
        """SIGTERM, SIGINT and SIGHUP are this worker's from now on."""
        signal.set_wakeup_fd(self._wakeups.signal_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        signal.signal(signal.SIGHUP, lambda *_: self._request_reload())

    def stop(self) -> None:
        """Begin to end; a second call ends at once. Safe in a signal's handler."""
        now = time.monotonic()
        self._stop_at = now if self._stop_at is not None else now + self._settings.grace

    def _request_reload(self) -> None:
        self._must_reload = True

    def _check(self) -> None:
        """Raises Stopped when the time of grace is over. Called by runs."""
        if self._stop_at is None and self._wakeups.is_alone:
            self.stop()
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            raise Stopped

    # work

    def run(self) -> None:
        """Work until a signal, or the end of the supervisor, says stop."""
        with self._closing:
            while self._stop_at is None and not self._wakeups.is_alone:
                if self._must_reload:
                    self._reload()
                if not self._heartbeat.joined.wait(POLL_SECONDS):
                    continue  # the catalog is away, and may have a cordon for this worker
                try:
                    if self._heartbeat.is_halted:
                        self._stay_drained()
                        continue
                    self._settle()  # also where work never ends: nobody may be idle
                    if not self._turns.take():
                        self._idle()
                except CatalogError as error:
                    log.error("worker %s cannot use the catalog: %s", self._spec.name, error)
                    self._wakeups.wait(POLL_SECONDS)
                    self._wakeups.may_have_task = True

    def _stay_drained(self) -> None:
        """A cordoned worker says that it runs nothing, and begins nothing until the catalog says otherwise."""
        if self._catalog.drained(self._spec.name):
            log.info("worker %s is cordoned: it runs nothing, and begins nothing", self._spec.name)
            while self._stop_at is None and not self._wakeups.is_alone and self._heartbeat.is_halted:
                self._wakeups.wait(POLL_SECONDS, accepts=False)
                self._heartbeat.beat()
            self._wakeups.may_have_task = True
        self._heartbeat.beat()

    def _serve_door(self) -> bool:
        """Run the upload of a door that waits; False if none does."""
        if self._wakeups.doors is None or not self._wakeups.has_door:
            return False
        door = accept_door(self._wakeups.doors, self._spec.name)
        if door is None:
            return False
        try:
            with self._heartbeat.working(door.task_id):
                self._run_upload(door)
        finally:
            door.close()
        return True

    def _run_upload(self, door: DoorConnection) -> None:
        try:
            if self._lacks_stores(door.task_id):
                return  # nothing was begun: the door keeps the upload for a worker of another machine
            task = self._catalog.take(door.task_id, door.token, self._spec.name)
        except CatalogError as error:  # deleted or cancelled meanwhile; or the catalog is away, and the lease ends
            log.info("the upload of import task %s is not taken: %s", door.task_id, error)
            why = failure_of(error)
            door.end(Done("cancelled", why.code, why.message, detail=why.detail))
            return
        door.begin()
        pace = SenderPace(lambda: self._catalog.waiting_count() > 0)
        door.end(self._run(task, door.upload(NAME, task.total, pace)))

    def _lacks_stores(self, task_id: str) -> bool:
        """True if an upload has to be written into stores that this worker does not reach."""
        reached = self._reach.ids
        if len(reached) == len(self._stores.ids):
            return False
        task = self._catalog.task(task_id)
        missing = set(task.stores) - set(reached)
        return bool(missing) and (task.requested or missing == set(task.stores))

    def _take_task(self) -> bool:
        """Run the oldest task that waits; False if none does, or if it is not time to look."""
        reached, now = self._reach.ids, time.monotonic()
        if now < self._look_at and reached == self._looked_with and not self._wakeups.may_have_task:
            return False
        self._wakeups.may_have_task = False  # before the look: what comes meanwhile is looked for again
        self._looked_with = reached
        task = self._catalog.claim(self._spec.name, reached=reached)
        if task is None:
            poll = LISTENING_POLL_SECONDS if self._wakeups.is_told_of_tasks else POLL_SECONDS
            self._look_at = now + _about(poll)
            return False
        self._look_at = 0.0
        with self._heartbeat.working(task.id):
            self._run(task)
        return True

    def _run(self, task: Task, sent: SentUpload | None = None) -> Done:
        with tracing.span("run", task.trace) as step:
            step.set(douane__task_id=task.id, douane__image_id=task.image_id, douane__method=task.method)
            done = self._runs.run(task, sent)
            step.set(douane__outcome=done.outcome, douane__code=done.code, douane__attempt=task.attempts)
        facts = {"image": task.image_id, "outcome": done.outcome, **({"code": done.code} if done.code else {})}
        reason = done.detail or done.message or done.outcome
        log.info("import task %s (%s): %s", task.id, task.method, reason, extra=facts)
        if done.outcome == "cancelled":
            self._must_sweep = True  # whoever ended the task has left its bytes to us
        return done

    def _idle(self) -> None:
        """Do what recurs, keep plugins ready, and wait for work."""
        now = time.monotonic()
        if self._must_sweep:
            self._must_sweep = False
            self._settling.delete_remnants()
        if now >= self._chores_at:
            self._chores_at = now + _about(self._chores.pause)
            self._chores.run_due()
        self._runner.prepare()
        self._wakeups.wait(self._pause())

    def _settle(self) -> None:
        """Look after what dead workers have left, every two seconds."""
        if time.monotonic() >= self._settle_at:
            self._settle_at = time.monotonic() + _about(SETTLE_SECONDS)
            if self._settling.settle_dead_tasks():
                self._wakeups.may_have_task = True

    def _pause(self) -> float:
        """Until there is something to look at: a task, processes of plugins, or what dead workers have left."""
        if self._runner.keeps_processes:
            return _about(KEPT_SECONDS)
        rest = min(self._look_at, self._settle_at, self._chores_at) - time.monotonic()
        return max(rest, MIN_PAUSE_SECONDS)

    def _reload(self) -> None:
        self._must_reload = False
        try:
            self._served = service_of(self._spec).served
        except DouaneError as error:
            log.error("worker %s keeps its plan, since the new plan cannot be used: %s", self._spec.name, error)


def _about(seconds: float) -> float:
    """Not all workers at the same time."""
    return seconds * random.uniform(0.8, 1.2)


def main(spec: WorkerSpec) -> None:
    """Work until SIGTERM. Raises DouaneError if the worker cannot begin."""
    give_way(NICENESS, SESSION_NICENESS)
    for fd in (spec.listen_fd, spec.wake_fd, spec.life_fd, spec.beat_fd):
        if fd is not None:
            os.set_inheritable(fd, False)
    if spec.beat_fd is not None:
        Pulse(spec.beat_fd)
    own_folders.register(Path(spec.home))
    service = service_of(spec)
    tracing.configure("worker")
    worker = Worker(spec, service)
    worker.catch_signals()
    worker.run()
    tracing.close()


if __name__ == "__main__":
    configure_log("worker")
    try:
        main(msgspec.json.decode(sys.argv[1], type=WorkerSpec))
    except DouaneError as error:
        log.error("the worker cannot begin: %s", error)
        sys.exit(error.exit_code)
