"""The process of `douane worker`: the workers of a machine that answers no requests."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from douane.catalog import Catalog
from douane.errors import PlanError
from douane.imports.service_stores import open_stores
from douane.imports.settings import ServeSettings, is_shared_database, load_settings
from douane.units import number_of

from .children import group_of
from .supervision import Supervision


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line of `douane worker`."""

    home: Path
    config: str
    workers: int | None = None
    sandbox: str | None = None
    host: str = msgspec.field(default_factory=socket.gethostname)
    """The machine, as people name it."""


class WorkerMachine(Supervision):
    """The workers of one machine, and what they need of it: a folder, and the configuration."""

    def __init__(self, options: WorkerOptions, say: Callable[[str], None]) -> None:
        super().__init__(say)
        self._options = options
        self.home, self.config, self.sandbox = options.home, options.config, options.sandbox

    def _load_settings(self) -> ServeSettings:
        options = self._options
        settings = load_settings(options.config, options.home, workers=options.workers)
        if settings.worker_count == 0:  # of the doors that share the file
            settings = msgspec.structs.replace(settings, workers=None)
        if not is_shared_database(settings):
            raise PlanError(
                f"{options.config}: the workers of a machine of their own need a catalog that other machines reach: "
                "write [serve] database, a URL of PostgreSQL or MariaDB; `douane serve` has workers itself"
            )
        return settings

    def _prepare(self) -> None:
        served = self._take_home()
        assert self._settings.database is not None, "it is shared"
        self._catalog = Catalog(self._settings.database)
        self._stack.callback(self._catalog.close)
        stores = open_stores(self._settings, self._catalog)
        self._compare_stores(stores, served, needs_default=False)
        group = group_of(self.home)
        # Nobody else runs workers in this home now: what killed ones left is looked after at once.
        self._catalog.release_group(group)
        self._catalog.hasten_chores()
        self._groups = (self._make_workers(group, self._settings.worker_count, self._options.host),)

    def _announce(self) -> None:
        count, stores = self._settings.worker_count, ", ".join(self._settings.store_order)
        self._say(
            f"douane runs {number_of(count, 'worker')} as {self._options.host} (home {self.home}; stores {stores})"
        )
