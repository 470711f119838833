"""PostgreSQL, for several machines, by psycopg 3.

Writing transactions are at READ COMMITTED: every step is an UPDATE with its conditions, which are evaluated again
after a wait for another transaction. Nothing needs a session: no advisory lock outlives its transaction, and statements
are prepared on the server's own connections only, so PgBouncer may pool the connections.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from douane.errors import CatalogError

from .server import (
    ENGINE_OPTIONS,
    IDLE_SECONDS,
    LOCK_SECONDS,
    PREPARED,
    DatabaseServer,
    require_driver,
)
from .waking import is_direct

_CONNECTING = {"connect_timeout": 10, "tcp_user_timeout": 15_000, "keepalives_idle": 5, "keepalives_interval": 5}
"""A line that is cut without a word is given up after 15 seconds, and not after the quarter of an hour for which TCP
sends again: then the process connects anew, perhaps to another node."""

_NEVER_BY_ITSELF = 1 << 30
"""Executions after which psycopg prepares a statement that does not ask for it: those of lists are planned for their
values, which decide what index is read."""

_MIGRATION = 0x646F75616E65  # any number that is Douane's: "douane"


class PostgreSQL(DatabaseServer):
    """A database of a server, as :class:`~douane.catalog.database.Database` uses it."""

    def __init__(self, url: URL) -> None:
        require_driver("psycopg", database="PostgreSQL", driver="psycopg", extra="postgresql")
        super().__init__(url, "host")
        self.engine = _engine(url)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A transaction in which no other process migrates at once."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})")
            yield connection

    def tables(self, connection: Connection) -> set[str]:
        """The names of all tables in the schema that is used."""
        rows = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return {row[0] for row in rows}

    def explain(self, error: BaseException | None) -> CatalogError:
        """The CatalogError for an error of the driver or of the system."""
        # Without the server's detail and context, which quote the values of rows.
        words = str(getattr(getattr(error, "diag", None), "message_primary", None) or error).strip()
        state = getattr(error, "sqlstate", None) or ""
        code, advice = _reason(state, words)
        return CatalogError(f"the catalog {self.name} failed ({words}); {advice}", code=code)


def _reason(state: str, words: str) -> tuple[str, str]:
    """The code and the advice for an SQLSTATE (PostgreSQL's documentation, appendix A)."""
    # A connection that fails has no SQLSTATE in psycopg 3, only the words of the server or of libpq. The code stays
    # that of a server that is away: an operator who mends a password does not have to start everything again.
    for text, advice in _CONNECTION_ADVICE:
        if not state and re.search(text, words):
            return "catalog-io", advice
    if state in ("40001", "40P01", "55P03"):
        return "catalog-busy", "other transactions held it for long; try again"
    if state.startswith("53"):
        if state == "53100":
            return "catalog-full", "make room on the server's disk, then try again"
        return "catalog-busy", "the server has no resources left; try again, or allow more connections"
    if state.startswith("XX"):
        return "catalog-damaged", "look at the server's log; the database may have to be restored from a backup"
    if state in ("25006", "42501", "3D000") or state.startswith("28"):
        return "catalog-unwritable", "give its user the right to connect, to make tables and to write"
    return "catalog-io", "see that the server runs and can be reached, and look at its log"


_CONNECTION_ADVICE = (
    ("password authentication failed", "correct the user or the password, in the file that libpq reads"),
    ("no password supplied", "write the password into the file that libpq reads (~/.pgpass, or PGSERVICEFILE)"),
    (r"no pg_hba\.conf entry", "let the server take connections of this machine and user (pg_hba.conf)"),
    ('role ".*" does not exist', "make the user (createuser), or name another in [serve] database"),
    ('database ".*" does not exist', "make the database (createdb), or name another in [serve] database"),
    ("definition of service", "write the service into the file that PGSERVICEFILE names, or correct its name"),
    ("service file", "set PGSERVICEFILE to the file that has the service"),
)
"""What to do about a refused connection, by words of the refusal (regular expressions); the first that fits."""


def _engine(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        connect_args={
            **{name: value for name, value in _CONNECTING.items() if name not in url.query},
            "application_name": "douane",
            "prepare_threshold": None,
        },
        **ENGINE_OPTIONS,
    )
    event.listen(engine, "connect", _allow_prepared)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "do_execute", _execute_prepared)
    return engine


def _allow_prepared(connection: Any, _: Any) -> None:
    """Behind a pool, the next transaction may go to a process that knows nothing of what this one has prepared."""
    if is_direct(connection):
        connection.prepare_threshold = _NEVER_BY_ITSELF
    connection.rollback()


def _execute_prepared(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
    """Let the server keep the plans of the few statements that ask for it. Without that, PostgreSQL spent half of its
    time for a claim on parsing and planning."""
    if not PREPARED.items() <= context.execution_options.items():
        return False
    cursor.execute(statement, parameters, prepare=True)
    return True


def _begin(connection: Connection) -> None:
    # One statement: each is a way to the server and back. Parallel workers take a page's rows in advance: of 1,000,000
    # images, a list of those with a property, by name, took 120 ms instead of 20, and 425 ms on a busy server.
    settings = [
        f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'",
        f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
        "SET LOCAL max_parallel_workers_per_gather = 0",
    ]
    if connection.get_execution_options().get("douane_read_only", False):
        settings.insert(0, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.exec_driver_sql("; ".join(settings))
