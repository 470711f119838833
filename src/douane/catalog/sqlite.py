"""SQLite in WAL mode: one file, which the first process that opens it makes.

Not for use in a child after fork(2) (SQLite, "How To Corrupt", section 2.6).
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event

from douane.durable import sync_directory
from douane.errors import BadValue, CatalogError

BUSY_SECONDS = 30.0
"""How long a statement waits for the transaction of another process; all transactions are short."""


class SQLite:
    """A file, as :class:`~douane.catalog.database.Database` uses it."""

    retries = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.engine = _engine(path)

    @property
    def exists(self) -> bool:
        """False: the file must be made before it is opened."""
        return self.path.exists()

    def prepare(self, check: Callable[[], None]) -> None:
        """Make the file if it is not there, let `check` look into it, and then change it for the first time."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._create()
        check()
        self._set_wal()

    def migrating(self) -> AbstractContextManager[Connection]:
        """A transaction, which has the only write lock from its start."""
        return self.engine.begin()

    def prepared(self) -> None:
        """Make sure that a new file survives a power cut."""
        sync_directory(self.path.parent)

    def tables(self, connection: Connection) -> set[str]:
        """The names of all tables."""
        return {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def explain(self, error: BaseException | None) -> CatalogError:
        """The CatalogError for an error of the driver or of the system."""
        return explain(error, self.path)

    def _create(self) -> None:
        # Only a new file: closing any descriptor of a database that this process has open elsewhere would drop
        # SQLite's locks on it (sqlite.org/howtocorrupt.html, section 2.2).
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _set_wal(self) -> None:
        # The mode is stored in the file (sqlite.org/wal.html, "Persistence of WAL Mode"). The switch needs exclusive
        # access and does not always wait: other processes may be reading the revision at this instant.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self.engine.connect() as connection:
                    raw = connection.connection.driver_connection
                    assert isinstance(raw, sqlite3.Connection)
                    mode = raw.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise CatalogError(
                    f"the catalog {self.path} cannot use a write-ahead log (its file system offers no "
                    "shared memory); put it on a local disk",
                    code="catalog-unwritable",
                )
            return


def file_path(text: str) -> Path:
    """The file of a URL such as ``sqlite:////var/lib/douane/catalog.sqlite``. Raises BadValue for one in memory."""
    if not text or text == ":memory:":
        raise BadValue("the catalog must be a file that several processes can open, not in memory")
    return Path(os.path.abspath(text))


def explain(error: BaseException | None, path: Path) -> CatalogError:
    """The CatalogError for an error of the driver or of the system."""
    if isinstance(error, OSError):
        return CatalogError(
            f"cannot make the catalog {path}: {error.strerror}; give user {os.geteuid()} the right to "
            "write there, or "
            "name another home",
            code="catalog-unwritable",
        )
    number = getattr(error, "sqlite_errorcode", None)
    # Extended codes keep the primary one in the low byte (sqlite.org/rescode.html).
    primary = None if number is None else number & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return CatalogError(
            f"the catalog {path} has no space left on its file system; make room, then try again",
            code="catalog-full",
        )
    if primary in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    ):
        return CatalogError(
            f"the catalog {path} cannot be opened or written ({error}); give user {os.geteuid()} the "
            "right to write to "
            "the file and its directory, or name another home",
            code="catalog-unwritable",
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CatalogError(
            f"the catalog {path} was held by another process for {BUSY_SECONDS:.0f} seconds; see which, then try again",
            code="catalog-busy",
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CatalogError(
            f"the catalog {path} is damaged, or not a catalog ({error}); restore it from a backup",
            code="catalog-damaged",
        )
    return CatalogError(
        f"the catalog {path} failed ({error}); look at the disk, its free space and the kernel's log "
        "before trying again",
    )


def _engine(path: Path) -> Engine:
    # The driver's own transactions begin late and not before DDL; isolation_level=None turns them off.
    engine = create_engine(
        URL.create("sqlite", database=os.fspath(path)),
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    # FULL: a state that was reported survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    # IMMEDIATE: a transaction that reads first could only fail if the lock is taken then (sqlite.org/isolation.html).
    read_only = connection.get_execution_options().get("douane_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
