"""What PostgreSQL and MariaDB have in common: the operator makes the database, and several machines use it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sqlalchemy import URL

from douane.errors import CatalogError

LOCK_SECONDS = 30
"""How long a statement waits for the transaction of another process; all transactions are short."""

IDLE_SECONDS = 20
"""After which the server ends a transaction whose client says nothing: it is stopped, or its line is cut, and its rows
are locked. No transaction waits between two statements."""

ENGINE_OPTIONS: dict[str, Any] = {
    "pool_size": 2,
    "max_overflow": 8,
    "pool_pre_ping": True,  # the server may have been restarted
    "hide_parameters": True,
}
"""Those of `create_engine` for short transactions."""


PREPARED: dict[str, Any] = {"douane_prepared": True}
"""Execution options of statements that are executed so often that the server should keep their plans, if it can."""


class DatabaseServer:
    """A database of a server: the part of :class:`~douane.catalog.database.Server` that is the same for all."""

    retries = True
    exists = True

    def __init__(self, url: URL, socket_option: str) -> None:
        """`socket_option` is the part of the URL's query that names a host or a socket instead of the URL's host."""
        where = url.host or url.query.get(socket_option) or "this machine"
        service = url.query.get("service")
        database = url.database or (f"of the service {service}" if service else "without a name")
        self.name = f"{database} on {where if isinstance(where, str) else ','.join(where)}"

    def prepare(self, check: Callable[[], None]) -> None:
        """The operator makes the database; only look into it."""
        check()

    def prepared(self) -> None:
        """The server makes its data durable."""


def require_driver(module: str, *, database: str, driver: str, extra: str) -> None:
    """Raise a CatalogError that says what to install, if the driver is not there."""
    try:
        import_module(module)
    except ImportError as error:
        raise CatalogError(
            f"the catalog in {database} needs {driver}: run `pip install '.[{extra}]'` in a checkout of Douane",
            code="catalog-unwritable",
        ) from error
