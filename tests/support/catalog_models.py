"""Where the state machines of the catalog's tests open their catalogs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine

from douane.catalog import Catalog

from .catalog import empty_catalog
from .catalog_servers import on
from .glance.postgres import Postgres


class OnSQLite(RuleBasedStateMachine):
    """A state machine on a new file."""

    def open_catalog(self) -> Catalog:
        self.directory = tempfile.TemporaryDirectory(prefix="douane-test-")
        path = Path(self.directory.name) / "catalog.sqlite"
        path.write_bytes(empty_catalog())
        return Catalog(path)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "directory"):
            self.directory.cleanup()


class OnPostgreSQL(RuleBasedStateMachine):
    """A state machine on a new database of `server`."""

    server: Postgres

    def open_catalog(self) -> Catalog:
        self.database = on(self.server)
        return Catalog(self.database.__enter__())

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "database"):
            self.database.__exit__(None, None, None)
