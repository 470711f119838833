"""MariaDB 10.6 or later, for several machines, alone or as a cluster of Galera, by PyMySQL.

Writing transactions are at READ COMMITTED, as in PostgreSQL: every step is an UPDATE with its conditions, which are
evaluated again after a wait for another transaction. Nothing needs a lock that a cluster does not replicate: no
GET_LOCK, no LOCK TABLES. In a cluster another node's transaction shows as a deadlock, also at COMMIT: the operation is
taken again.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import NullPool

from douane.errors import CatalogError

from .mariadb_errors import explained, is_connection_of_no_use
from .mariadb_migration import LOCKS, one_at_a_time
from .server import ENGINE_OPTIONS, IDLE_SECONDS, LOCK_SECONDS, DatabaseServer, require_driver

LEAST_VERSION = (10, 6)
"""The first with SKIP LOCKED."""

_ANSWER_SECONDS = 3 * LOCK_SECONDS
"""After which a server that answers nothing is away."""
_MIGRATION_LOCK_SECONDS = 3600
"""A statement of a process that was killed goes on: the next one waits for its end."""


class MariaDB(DatabaseServer):
    """A database of a server, as :class:`~douane.catalog.database.Database` uses it."""

    def __init__(self, url: URL) -> None:
        require_driver("pymysql", database="MariaDB", driver="PyMySQL", extra="mariadb")
        super().__init__(url, "unix_socket")
        self._url = url
        _check_option_file(url.query.get("read_default_file"))
        self.engine = _engine(url)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A connection on which this process alone migrates: there, every statement is a transaction of its own."""
        engine = _migration_engine(self._url)
        try:
            with one_at_a_time(engine) as connection:
                yield connection
        finally:
            engine.dispose()

    def tables(self, connection: Connection) -> set[str]:
        """The names of all tables but that of the locks, which is there before the catalog is made."""
        return set(connection.exec_driver_sql("SHOW TABLES").scalars()) - {LOCKS}

    def explain(self, error: BaseException | None) -> CatalogError:
        """The CatalogError for an error of the driver or of the system."""
        return explained(error, self.name)


def _check_option_file(path: object) -> None:
    """PyMySQL passes over a file that it cannot read, and goes on without the password in it."""
    if not isinstance(path, str):
        return
    try:
        open(os.path.expanduser(path), "rb").close()
    except OSError as error:
        raise CatalogError(
            f"the file {path} that read_default_file names in [serve] database cannot be read: {error.strerror}",
            code="catalog-unwritable",
        ) from error


def _engine(url: URL) -> Engine:
    engine = create_engine(
        _address(url),
        isolation_level="REPEATABLE READ",  # of transactions that read: one state of the whole catalog
        connect_args=_arguments(read_timeout=_ANSWER_SECONDS, write_timeout=_ANSWER_SECONDS),
        **ENGINE_OPTIONS,
    )
    event.listen(engine, "connect", _configured(LOCK_SECONDS))
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _leave_node)
    return engine


def _migration_engine(url: URL) -> Engine:
    """Connections that wait for statements of any length."""
    engine = create_engine(
        _address(url),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=_arguments(),
    )
    event.listen(engine, "connect", _configured(_MIGRATION_LOCK_SECONDS))
    return engine


def _address(url: URL) -> URL:
    # Connections have the character set of the tables, whatever the URL says: OpenStack's often say utf8.
    return url.set(drivername="mysql+pymysql").difference_update_query(["charset", "collation"])


def _arguments(**timeouts: int) -> dict[str, Any]:
    return {"connect_timeout": 10, "charset": "utf8mb4", "collation": "utf8mb4_nopad_bin", **timeouts}


def _configured(lock_seconds: int) -> Callable[[DBAPIConnection, object], None]:
    """What a new connection begins with: whatever the server's defaults are."""
    # SIMULTANEOUS_ASSIGNMENT: an UPDATE computes all values from the row as it was, as in every other database.
    modes = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,SIMULTANEOUS_ASSIGNMENT"
    # exists_to_in: a condition on the rows of other tables is tested image by image, in the order of the list, and not
    # by making a table of all images for which it holds.
    settings = (
        f"sql_mode = '{modes}', time_zone = '+00:00', default_storage_engine = InnoDB, "
        "optimizer_switch = 'exists_to_in=off', "
        f"innodb_lock_wait_timeout = {lock_seconds}, lock_wait_timeout = {lock_seconds}, "
        f"idle_transaction_timeout = {IDLE_SECONDS}"
    )

    def configure(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'wsrep_on')")
        facts = dict(cursor.fetchall())
        _check_version(str(facts.get("version")))
        # What another node has acknowledged is seen: a door answers for what a client wrote at another.
        in_order = ", wsrep_sync_wait = 15" if facts.get("wsrep_on") == "ON" else ""
        cursor.execute(f"SET SESSION {settings}{in_order}")
        cursor.close()
        connection.commit()

    return configure


def _check_version(version: str) -> None:
    numbers = tuple(int(part) for part in version.partition("-")[0].split(".")[:2] if part.isdecimal())
    if "mariadb" not in version.lower() or numbers < LEAST_VERSION:
        oldest = ".".join(map(str, LEAST_VERSION))
        raise CatalogError(
            f"the catalog needs MariaDB {oldest} or later, or another database; this server has version {version:.60}",
            code="catalog-unwritable",
        )


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("douane_read_only", False):
        connection.exec_driver_sql("START TRANSACTION READ ONLY")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _leave_node(context: ExceptionContext) -> None:
    if is_connection_of_no_use(context.original_exception):
        context.is_disconnect = True
