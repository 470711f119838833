"""Migrations in MariaDB, where every statement that changes a table is a transaction of its own.

So a migration that was killed is repeated from its first statement: each is written so that it does nothing where it
was done before. One process migrates at a time: it holds a row, by a lease that it renews, since the server's own locks
do not reach the other nodes of a cluster, and row locks end with the next change of a table.
"""

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Update, column, event, exc, insert, table, update

from douane.errors import CatalogError

from .clock import database_time
from .mariadb_errors import DEADLOCK

LOCKS = "locks"
MIGRATION = "migration"
LEASE_SECONDS = 30.0
BEAT_SECONDS = 5.0
POLL_SECONDS = 0.2
BASELINE = "0007"
"""The revision of the oldest catalogs in MariaDB: `migrations/mariadb/0007.sql` makes it from nothing."""

_FILE = Path(__file__).parent / "migrations" / "mariadb" / f"{BASELINE}.sql"
_OPTIONS = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
_MAKE_LOCKS = f"""
CREATE TABLE IF NOT EXISTS {LOCKS} (
    name VARCHAR(320) NOT NULL PRIMARY KEY,
    holder VARCHAR(36),
    held_until VARCHAR(32),
    changes BIGINT NOT NULL DEFAULT 0
) {_OPTIONS}
"""
_locks = table(LOCKS, column("name"), column("holder"), column("held_until"), column("changes"))
_free = (_locks.c.name == MIGRATION) & (_locks.c.held_until <= database_time())

_REPEATABLE = (
    (r"CREATE TABLE (IF NOT EXISTS )?", "CREATE TABLE IF NOT EXISTS "),
    (r"CREATE (UNIQUE )?INDEX (IF NOT EXISTS )?", r"CREATE \1INDEX IF NOT EXISTS "),
    (r"DROP (TABLE|INDEX) (IF EXISTS )?", r"DROP \1 IF EXISTS "),
    (r"ALTER TABLE (\S+) ADD (COLUMN|CONSTRAINT) (IF NOT EXISTS )?", r"ALTER TABLE \1 ADD \2 IF NOT EXISTS "),
    (r"ALTER TABLE (\S+) DROP (COLUMN|CONSTRAINT) (IF EXISTS )?", r"ALTER TABLE \1 DROP \2 IF EXISTS "),
    (r"INSERT (IGNORE )?INTO ", "INSERT IGNORE INTO "),
    (r"(ALTER TABLE \S+ (?:MODIFY|ALTER)|UPDATE|DELETE|SELECT|SHOW|DESCRIBE) ", r"\1 "),
)
"""The statements of migrations, and how they are written so that a second time does nothing."""


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[Connection]:
    """A connection on which this process migrates, after all others that did, with `engine` in the mode AUTOCOMMIT.

    Raises CatalogError (``catalog-busy``) before the next statement if the process was stopped for so long that another
    one migrates now.
    """
    with engine.connect() as connection:
        _make_locks(connection)
        holder = str(uuid.uuid4())
        while not _take(connection, holder):
            time.sleep(POLL_SECONDS)
        try:
            with _renewed(engine, holder), _adapting(connection, holder):
                yield connection
        finally:
            with suppress(exc.DBAPIError):  # then the lease ends
                _release(connection, holder)


def make_baseline(connection: Connection) -> None:
    """Make the tables of an empty catalog, or those that a process did not come to that was killed."""
    names = set(connection.exec_driver_sql("SHOW TABLES").scalars())
    if "alembic_version" not in names:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    if connection.exec_driver_sql("SELECT version_num FROM alembic_version").first() is None:
        lines = _FILE.read_text().splitlines(keepends=True)
        statements = "".join(line for line in lines if not line.startswith("--")).split(";\n")
        for statement in filter(None, map(str.strip, statements)):
            connection.exec_driver_sql(statement)
        connection.execute(insert(table("alembic_version", column("version_num"))).values(version_num=BASELINE))


def repeatable(statement: str) -> str:
    """The statement of a migration, written so that a second time does nothing, and with MariaDB's own types.

    Raises CatalogError for a statement of another kind.
    """
    text = statement.strip()
    for pattern, instead in _REPEATABLE:
        repeated, count = re.subn(f"^{pattern}", instead, text, count=1)
        if count:
            text = repeated
            break
    else:
        raise CatalogError(f"a migration of MariaDB has a statement that cannot be repeated: {text:.80}")
    if text.startswith(("CREATE TABLE", "ALTER TABLE")):
        text = re.sub(r"\bTEXT\b", "LONGTEXT", text)  # TEXT has 65,535 bytes
    return f"{text} {_OPTIONS}" if text.startswith("CREATE TABLE") and "ENGINE=" not in text else text


def _make_locks(connection: Connection) -> None:
    connection.exec_driver_sql(_MAKE_LOCKS)
    first = {"name": MIGRATION, "held_until": ""}
    with suppress(exc.IntegrityError):
        _change(connection, insert(_locks).values(first))


def _take(connection: Connection, holder: str) -> bool:
    lease = update(_locks).where(_free).values(holder=holder, held_until=database_time(LEASE_SECONDS))
    return _change(connection, lease) == 1


def _renew(connection: Connection, holder: str) -> None:
    mine = (_locks.c.name == MIGRATION) & (_locks.c.holder == holder)
    renewed = update(_locks).where(mine).values(held_until=database_time(LEASE_SECONDS), changes=_locks.c.changes + 1)
    if _change(connection, renewed) != 1:
        raise CatalogError(
            "another process migrates the catalog now, because this one was stopped for long; start it again",
            code="catalog-busy",
        )


def _release(connection: Connection, holder: str) -> None:
    mine = (_locks.c.name == MIGRATION) & (_locks.c.holder == holder)
    _change(connection, update(_locks).where(mine).values(holder=None, held_until=""))


def _change(connection: Connection, statement: Insert | Update) -> int:
    """How many rows of the locks the statement changes, when no other node changes them."""
    while True:
        try:
            return connection.execute(statement).rowcount
        except exc.OperationalError as error:
            if getattr(error.orig, "args", (0,))[0] != DEADLOCK:
                raise
        time.sleep(POLL_SECONDS)


@contextmanager
def _renewed(engine: Engine, holder: str) -> Iterator[None]:
    """Renew the lease while a statement takes long."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with suppress(exc.DBAPIError, CatalogError), engine.connect() as connection:
                _renew(connection, holder)

    thread = threading.Thread(target=beat, name="migration-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _adapting(connection: Connection, holder: str) -> Iterator[None]:
    """Write all statements so that they can be repeated, and before each make sure that the lease still holds."""
    is_renewing = False

    def adapt(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        nonlocal is_renewing
        if is_renewing:
            return statement, parameters
        is_renewing = True
        try:
            _renew(connection, holder)
        finally:
            is_renewing = False
        return repeatable(statement), parameters

    event.listen(connection, "before_cursor_execute", adapt, retval=True)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", adapt)
