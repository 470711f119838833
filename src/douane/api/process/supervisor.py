"""The supervisor: the process of `douane serve` itself. It starts the door and the workers, and ends them.

It answers no request and reads no image, so it lives when they die.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from douane.api.assembly import make_service
from douane.catalog.clock import LEASE_SECONDS
from douane.engine.served_plan import ServedPlan
from douane.errors import DouaneError, PlanError
from douane.host.failure import describe_exit
from douane.imports import tracing
from douane.imports.pulse import BEAT_SECONDS
from douane.imports.service_file import NO_IMPORTS, RUN, ServiceFile, write_service_file
from douane.imports.service_stores import try_stores
from douane.imports.settings import ServeSettings, load_settings
from douane.imports.worker_spec import WorkerSpec
from douane.plan import own_folders
from douane.plan.bound_plugins import check_stores

from . import orphans
from .children import Child, Command, NamedChild, group_of
from .home_lock import HomeLock
from .listening import listen, url_of
from .spec import DoorSpec
from .worker_sockets import WorkerSockets

log = logging.getLogger("douane.serve")

_RESTART_DELAY = 0.2
_SAME_WISH_SECONDS = 1.0
"""Signals within this time are one wish to end: `timeout` sends its signal to the process and to its group."""


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `douane serve`."""

    home: Path
    config: str | None = None
    listen: str | None = None
    workers: int | None = None
    sandbox: str | None = None


class Supervisor:
    """A running service."""

    def __init__(self, options: ServeOptions, say: Callable[[str], None]) -> None:
        """`say` prints a sentence for the person who started the service."""
        self._options = options
        self._say = say
        self._stack = ExitStack()
        self._selector = selectors.DefaultSelector()
        self._is_stopping = False
        self._stop_time = 0.0
        self._must_reload = False
        self._deadline = float("inf")

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises PlanError or DouaneError if that is impossible; nothing runs then."""
        with self._stack:
            self._prepare()
            orphans.adopt()
            try:
                for child in self._children:
                    child.start()
                self._watch()
            finally:
                self._end()

    def _prepare(self) -> None:
        options = self._options
        tracing.check()
        _make_home(options.home)
        own_folders.register(options.home)
        lock = HomeLock(options.home)
        self._stack.callback(lock.close)
        self._settings = self._load_settings()
        served = self._load_plan(self._settings)
        write_service_file(options.home, ServiceFile(self._settings, served))
        # The catalog is made, and a wrong store or an unknown database shows now, before anything listens.
        service = make_service(options.home, self._settings, served)
        self._stack.callback(service.close)
        try_stores(service.stores)
        self._catalog = service.catalog
        self._listener = listen(self._settings.listen)
        self._stack.callback(self._listener.close)
        self._url = url_of(self._listener)
        life_read, life_write = os.pipe()
        self._life_fd = life_read
        for fd in (life_read, life_write):
            self._stack.callback(os.close, fd)
        self._sockets = WorkerSockets(options.home)
        self._stack.callback(self._sockets.close)
        group = group_of(options.home)
        # Nobody else serves this home now: what a killed service left is looked after at once, and not in 20 seconds.
        self._catalog.release_group(group)
        self._door = NamedChild("the door", group, self._door_command, self._release)
        self._workers = [
            NamedChild(f"worker {number + 1}", group, self._worker_command, self._release)
            for number in range(self._settings.worker_count)
        ]
        self._children = [self._door, *self._workers]
        self._catch_signals()

    def _load_settings(self) -> ServeSettings:
        options = self._options
        return load_settings(options.config, options.home, listen=options.listen, workers=options.workers)

    def _load_plan(self, settings: ServeSettings) -> ServedPlan:
        served = ServedPlan.load(self._options.config, self._options.sandbox, digests=True)
        check_stores(served.plan, settings.store_order)
        return served

    def _door_command(self, name: str, beat_fd: int) -> Command:
        ready_read, ready_write = os.pipe()
        self._selector.register(ready_read, selectors.EVENT_READ, self._ready)
        spec = DoorSpec(
            name=name,
            home=str(self._options.home),
            listen_fd=self._listener.fileno(),
            ready_fd=ready_write,
            life_fd=self._life_fd,
            beat_fd=beat_fd,
            url=self._url,
        )
        arguments = [sys.executable, "-P", "-m", "douane.api.process.door", msgspec.json.encode(spec).decode()]
        return Command(arguments, (self._listener.fileno(), ready_write, self._life_fd), parent_fds=(ready_write,))

    def _worker_command(self, name: str, beat_fd: int) -> Command:
        spec = WorkerSpec(
            name=name,
            home=str(self._options.home),
            listen_fd=self._sockets.doors.fileno(),
            wake_fd=self._sockets.wake.fileno(),
            life_fd=self._life_fd,
            beat_fd=beat_fd,
        )
        arguments = [sys.executable, "-P", "-m", "douane.imports.worker", msgspec.json.encode(spec).decode()]
        return Command(arguments, (spec.listen_fd, spec.wake_fd, self._life_fd))

    def _release(self, name: str) -> None:
        """This process is gone: a worker looks after its tasks at once, and not in 20 seconds."""
        try:
            self._catalog.release_worker(name)
        except DouaneError as error:
            log.error("the leases of %s stay until they end: %s", name, error)

    def _ready(self, fd: int) -> None:
        answers = os.read(fd, 1)
        self._selector.unregister(fd)
        os.close(fd)
        if answers:
            if (switch := self._options.home / RUN / NO_IMPORTS).exists():
                log.warning("new imports are stopped (%s): `douane drain --undo` takes them again", switch)
            self._say(f"douane serves the Image API at {self._url} (home {self._options.home})")

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
            write_service_file(self._options.home, ServiceFile(settings, served))
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
        log.info("ending: uploads that have begun have %.0f seconds; a second signal ends them now", seconds)
        # The door closes its own: then new connections are refused, and do not wait in a queue that nobody reads.
        self._listener.close()
        for group in ([self._door], self._workers):
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
