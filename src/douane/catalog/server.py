"""What PostgreSQL and MariaDB have in common: the operator makes the database, and several machines use it."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from sqlalchemy import URL, Engine, event, exc
from sqlalchemy.pool import ConnectionPoolEntry

from douane.errors import CatalogError

LOCK_SECONDS = 30
"""How long a statement waits for the transaction of another process; all transactions are short."""

IDLE_SECONDS = 20
"""After which the server ends a transaction whose client says nothing: it is stopped, or its line is cut, and its rows
are locked. No transaction waits between two statements."""

ENGINE_OPTIONS: dict[str, Any] = {
    "pool_size": 2,
    "max_overflow": 8,
    "hide_parameters": True,
}
"""Those of `create_engine` for short transactions."""


PREPARED: dict[str, Any] = {"douane_prepared": True}
"""Execution options of statements that are executed so often that the server should keep their plans, if it can."""


PING_SECONDS = 1.0
"""A connection that was idle for longer is tried before it is used: the server may have been restarted. To try it for
every transaction was half of all that busy workers asked of PostgreSQL."""

_USED = "douane_used"


def try_idle_connections(engine: Engine, fd_of: Callable[[Any], int]) -> None:
    """Let the pool of `engine` replace connections that ended while nobody used them; `fd_of` says which descriptor a
    connection has."""

    def returned(_: Any, record: ConnectionPoolEntry) -> None:
        record.info[_USED] = time.monotonic()

    def taken(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        idle_s = time.monotonic() - record.info.get(_USED, math.inf)
        try:
            if idle_s < PING_SECONDS and not _has_news(fd_of(connection)):
                return
            is_alive = engine.dialect.do_ping(connection)
        except (engine.dialect.loaded_dbapi.Error, AttributeError):  # PyMySQL has no socket then
            is_alive = False
        if not is_alive:
            raise exc.DisconnectionError

    event.listen(engine, "checkin", returned)
    event.listen(engine, "checkout", taken)


def _has_news(fd: int) -> bool:
    """The server has said something that nobody asked for: that it ends the connection."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


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
