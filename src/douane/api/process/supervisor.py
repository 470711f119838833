"""The supervisor: the process of `douane serve` itself. It starts the door and the workers, and ends them."""

from __future__ import annotations

import logging
import os
import selectors
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from douane.api.assembly import make_service
from douane.errors import PlanError
from douane.imports.service_file import NO_IMPORTS, RUN
from douane.imports.settings import ServeSettings, is_shared_database, load_settings

from .children import Command, NamedChild, group_of
from .listening import listen, url_of
from .spec import DoorSpec
from .supervision import Supervision
from .worker_sockets import WorkerSockets

log = logging.getLogger("douane.serve")


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `douane serve`."""

    home: Path
    config: str | None = None
    listen: str | None = None
    workers: int | None = None
    sandbox: str | None = None


class Supervisor(Supervision):
    """A running service."""

    _ending = "uploads that have begun"

    def __init__(self, options: ServeOptions, say: Callable[[str], None]) -> None:
        super().__init__(say)
        self._options = options
        self.home, self.config, self.sandbox = options.home, options.config, options.sandbox

    def _prepare(self) -> None:
        served = self._take_home()
        # The catalog is made, and a wrong store or an unknown database shows now, before anything listens.
        service = make_service(self.home, self._settings, served)
        self._stack.callback(service.close)
        self._catalog = service.catalog
        self._compare_stores(service.stores, served, needs_default=True)
        self._listener = listen(self._settings.listen)
        self._stack.callback(self._listener.close)
        self._url = url_of(self._listener)
        group = group_of(self.home)
        if self._settings.worker_count:
            sockets = WorkerSockets(self.home)
            self._stack.callback(sockets.close)
            self._listen_fd, self._wake_fd = sockets.doors.fileno(), sockets.wake.fileno()
        else:
            WorkerSockets.remove(self.home)
        # Nobody else serves this home now: what a killed service left is looked after at once, and not in 20 seconds.
        self._catalog.release_group(group)
        self._catalog.hasten_chores()
        door = NamedChild("the door", group, self._door_command, self._release)
        self._groups = ([door], self._make_workers(group, self._settings.worker_count))

    def _load_settings(self) -> ServeSettings:
        options = self._options
        settings = load_settings(options.config, options.home, listen=options.listen, workers=options.workers)
        if settings.worker_count == 0 and not is_shared_database(settings):
            raise PlanError(
                "a service without workers needs workers of other machines, which share a database with it: write "
                "[serve] database, or let it have workers"
            )
        return settings

    def _door_command(self, name: str, beat_fd: int) -> Command:
        ready_read, ready_write = os.pipe()
        self._selector.register(ready_read, selectors.EVENT_READ, self._ready)
        spec = DoorSpec(
            name=name,
            home=str(self.home),
            listen_fd=self._listener.fileno(),
            ready_fd=ready_write,
            life_fd=self._life_fd,
            beat_fd=beat_fd,
            url=self._url,
        )
        arguments = [sys.executable, "-P", "-m", "douane.api.process.door", msgspec.json.encode(spec).decode()]
        return Command(arguments, (self._listener.fileno(), ready_write, self._life_fd), parent_fds=(ready_write,))

    def _ready(self, fd: int) -> None:
        answers = os.read(fd, 1)
        self._selector.unregister(fd)
        os.close(fd)
        if answers:
            if (switch := self.home / RUN / NO_IMPORTS).exists():
                log.warning("new imports are stopped (%s): `douane drain --undo` takes them again", switch)
            self._say(f"douane serves the Image API at {self._url} (home {self.home})")

    def _close_doors(self) -> None:
        # The door closes its own: then new connections are refused, and do not wait in a queue that nobody reads.
        self._listener.close()
