"""What a service and a machine of workers have in common: a process that starts others, and ends them.

It answers no request and reads no image, so it lives when they die.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from douane import own_folders
from douane.catalog import Catalog
from douane.catalog.clock import LEASE_SECONDS
from douane.engine.served_plan import ServedPlan
from douane.errors import DouaneError, PlanError
from douane.host.failure import describe_exit
from douane.imports import tracing
from douane.imports.pulse import BEAT_SECONDS
from douane.imports.service_file import ServiceFile, write_service_file
from douane.imports.service_stores import Stores, know_stores, try_stores
from douane.imports.settings import ServeSettings, is_shared_database
from douane.imports.worker_spec import WorkerSpec
from douane.plan.bound_plugins import check_stores

from . import orphans
from .children import Child, Command, NamedChild
from .home_lock import HomeLock

log = logging.getLogger("douane.serve")

_RESTART_DELAY = 0.2
_SAME_WISH_SECONDS = 1.0
"""Signals within this time are one wish to end: `timeout` sends its signal to the process and to its group."""


class Supervision(ABC):
    """A process that keeps others running; a subclass says which."""

    _ending = "imports that have begun"
    """What is waited for at the end."""

    home: Path
    config: str | None
    sandbox: str | None
    _catalog: Catalog
    _settings: ServeSettings
    _listen_fd: int | None = None
    _wake_fd: int | None = None

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` prints a sentence for the person who started the command."""
        self._say = say
        self._identities: dict[str, str] = {}
        self._stack = ExitStack()
        self._selector = selectors.DefaultSelector()
        self._is_stopping = False
        self._stop_time = 0.0
        self._must_reload = False
        self._deadline = float("inf")
        self._groups: Sequence[Sequence[NamedChild]] = ()
        """The processes, in the order in which they are ended."""

    # what a subclass says

    @abstractmethod
    def _load_settings(self) -> ServeSettings:
        """The configuration. Raises PlanError."""

    @abstractmethod
    def _prepare(self) -> None:
        """Open everything, and set `_groups`. Raises PlanError or DouaneError."""

    def _announce(self) -> None:
        """All processes have been started. By default, nobody is told."""
        return

    def _close_doors(self) -> None:
        """The processes are about to be ended: no new work is accepted. By default, there are no doors."""
        return

    # from the start to the end

    def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises PlanError or DouaneError if that is impossible; nothing runs then."""
        with self._stack:
            self._prepare()
            self._catch_signals()
            orphans.adopt()
            try:
                for child in self._children:
                    child.start()
                self._announce()
                self._watch()
            finally:
                self._end()

    @property
    def _children(self) -> list[NamedChild]:
        return [child for group in self._groups for child in group]

    def _take_home(self) -> ServedPlan:
        """Claim the home, and keep the configuration in it. Raises PlanError."""
        tracing.check()
        _make_home(self.home)
        own_folders.register(self.home)
        lock = HomeLock(self.home)
        self._stack.callback(lock.close)
        self._settings = self._load_settings()
        served = self._load_plan(self._settings)
        self._write(self._settings, served)
        life_read, life_write = os.pipe()
        self._life_fd = life_read
        for fd in (life_read, life_write):
            self._stack.callback(os.close, fd)
        return served

    def _compare_stores(self, stores: Stores, served: ServedPlan, *, needs_default: bool) -> None:
        """Let all processes know which stores are the catalog's, and try them. Raises PlanError."""
        self._identities = know_stores(stores, self._catalog)
        self._write(self._settings, served)
        try_stores(stores, needs_default=needs_default, has_others=is_shared_database(self._settings))

    def _write(self, settings: ServeSettings, served: ServedPlan) -> None:
        write_service_file(self.home, ServiceFile(settings, served, self._identities))

    def _load_plan(self, settings: ServeSettings) -> ServedPlan:
        served = ServedPlan.load(self.config, self.sandbox, digests=True)
        check_stores(served.plan, settings.store_order)
        return served

    def _make_workers(self, group: str, count: int, host: str | None = None) -> list[NamedChild]:
        """Workers, whose names begin with `group`; `host` is the machine, as people name it."""

        def command(name: str, beat_fd: int) -> Command:
            spec = WorkerSpec(
                name=name,
                host=host,
                home=str(self.home),
                listen_fd=self._listen_fd,
                wake_fd=self._wake_fd,
                life_fd=self._life_fd,
                beat_fd=beat_fd,
            )
            arguments = [sys.executable, "-P", "-m", "douane.imports.worker", msgspec.json.encode(spec).decode()]
            fds = (self._listen_fd, self._wake_fd, self._life_fd)
            return Command(arguments, tuple(fd for fd in fds if fd is not None))

        return [NamedChild(f"worker {number + 1}", group, command, self._release) for number in range(count)]

    def _release(self, name: str) -> None:
        """This process is gone: a worker looks after its tasks at once, and not in 20 seconds."""
        try:
            self._catalog.release_worker(name)
            self._catalog.hasten_chores()
        except DouaneError as error:
            log.error("the leases of %s stay until they end: %s", name, error)

    def _catch_signals(self) -> None:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for fd in (wake_read, wake_write):
            self._stack.callback(os.close, fd)
        # The kernel may hand a signal to any thread, and the main thread would sleep on (signal.set_wakeup_fd).
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._stack.callback(signal.set_wakeup_fd, -1)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda fd: os.read(fd, 512))
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        signal.signal(signal.SIGINT, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._request_reload())

    def _stop(self) -> None:
        """Begin to end; a second signal ends at once, if it is no echo of the first. Called in a signal's handler."""
        now = time.monotonic()
        if not self._is_stopping:
            self._is_stopping = True
            self._stop_time = now
            self._deadline = now + self._settings.grace
        elif now - self._stop_time >= _SAME_WISH_SECONDS:
            self._deadline = now

    def _request_reload(self) -> None:
        self._must_reload = True

    def _watch(self) -> None:
        """Start again what dies, until a signal says stop."""
        self._looked_at = time.monotonic()
        while not self._is_stopping:
            self._wait(BEAT_SECONDS)
            self._kill_silent()
            if self._must_reload:
                self._must_reload = False
                self._reload()
            for child in self._children:
                code = child.reap()
                if code is not None and not self._is_stopping:
                    log.error("%s has ended: %s; it is started again", child.name, describe_exit(code))
                    time.sleep(_RESTART_DELAY)
                    child.start()
            orphans.reap([child.pid for child in self._children])

    def _kill_silent(self) -> None:
        now = time.monotonic()
        late, self._looked_at = now - self._looked_at > 2 * BEAT_SECONDS, now
        for child in self._children:
            if late:  # this process had to wait, too: perhaps the whole machine was stopped
                child.beaten_at = now
            child.kill_if_silent(LEASE_SECONDS)

    def _wait(self, seconds: float | None) -> None:
        """Wait for a signal, a message, a sign of life, or the end of a process."""
        watched: dict[int, Callable[[int], None] | None] = {child.pidfd: None for child in self._children}
        watched |= {child.beat_fd: child.take_beats for child in self._children}
        watched.pop(-1, None)
        for fd, action in watched.items():
            self._selector.register(fd, selectors.EVENT_READ, action)
        try:
            events = self._selector.select(seconds)
        finally:
            for fd in watched:
                self._selector.unregister(fd)
        for key, _ in events:
            if key.data is not None:
                key.data(key.fd)

    def _reload(self) -> None:
        """Read the configuration again. If it cannot be served, the old one stays."""
        try:
            settings = self._load_settings()
            served = self._load_plan(settings)
            self._write(settings, served)
        except DouaneError as error:
            log.error("the new configuration cannot be used, so the old one is still served: %s", error)
            return
        log.info("the configuration was read again")
        for child in self._children:
            child.send(signal.SIGHUP)

    def _end(self) -> None:
        """End the processes: the door first, because its uploads need the workers."""
        self._deadline = min(self._deadline, time.monotonic() + self._settings.grace)
        seconds = max(self._deadline - time.monotonic(), 0)
        log.info("ending: %s have %.0f seconds; a second signal ends them now", self._ending, seconds)
        self._close_doors()
        for group in self._groups:
            self._end_group(group)
        log.info("ended")

    def _end_group(self, group: Sequence[Child]) -> None:
        for child in group:
            child.send(signal.SIGTERM)
        killed = False
        while any(child.pidfd >= 0 for child in group):
            seconds = self._deadline - time.monotonic()
            if seconds <= 0 and not killed:
                killed = True
                names = ", ".join(child.name for child in group if child.pidfd >= 0)
                log.warning("the time to end is over: killed: %s", names)
                for child in group:
                    child.send(signal.SIGKILL)
            self._wait(None if killed else max(seconds, 0))
            for child in group:
                child.reap()


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(
            f"the home directory {home} cannot be made: {error.strerror}; choose another with --home or DOUANE_HOME"
        ) from error
