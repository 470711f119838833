"""Open the database: SQLite in WAL mode, made or migrated by the first process that opens it.

A catalog at the newest revision is opened without Alembic, whose import alone takes longer than the rest.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from douane.errors import BadValue, CatalogError

HEAD = "0003"
"""The newest revision in ``migrations/versions``, which this release reads and writes."""

BUSY_SECONDS = 30.0
"""How long a statement waits for the transaction of another process; all transactions are short."""


class Database:
    """Short transactions on the catalog's database; every failure is a CatalogError.

    Safe for threads; not for use in a child after fork(2) (SQLite, "How To Corrupt", section 2.6).
    """

    def __init__(self, path_or_url: Path | str, migrate: Callable[[Connection], None] | None = None) -> None:
        """Open the database, after making or migrating it if necessary. `migrate` replaces the package's migrations."""
        self.path = database_path(path_or_url)
        self._engine = _engine(self.path)
        try:
            with self._explained():
                if not self.path.exists() or self._revision() != HEAD:
                    self._prepare(migrate or _package_migrations)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection. Idempotent; the object must not be used afterwards."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the whole catalog and changes nothing."""
        with self._explained(), self._engine.connect() as connection:
            connection.execution_options(douane_read_only=True)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; rolled back if the block raises."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    def _prepare(self, migrate: Callable[[Connection], None]) -> None:
        directory = self.path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._create()
        self._check(self._revision())
        self._set_wal()
        # Several processes may come here at once: the first to get the write lock migrates, in one
        # transaction, and the others find the newest revision.
        with self._engine.begin() as connection:
            if revision_of(connection) != HEAD:
                migrate(connection)
        _sync_directory(directory)

    def _create(self) -> None:
        # Only a new file: closing any descriptor of a database that this process has open elsewhere would drop
        # SQLite's locks on it (sqlite.org/howtocorrupt.html, section 2.2).
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _revision(self) -> str | None:
        with self._engine.connect() as connection:
            connection.execution_options(douane_read_only=True)
            return revision_of(connection)

    def _check(self, revision: str | None) -> None:
        """Refuse other databases, and catalogs of a later release, before anything is changed."""
        if revision is None:
            return
        if not revision.isdecimal():
            raise CatalogError(
                f"{self.path} is not a catalog of Douane (its revision is {revision!r}); name another file",
                code="catalog-foreign",
            )
        if int(revision) > int(HEAD):
            raise CatalogError(
                f"the catalog {self.path} was made by a later release of Douane (revision {revision}; "
                f"this one knows up to {HEAD}); upgrade Douane, or name another home",
                code="catalog-newer",
            )

    def _set_wal(self) -> None:
        # The mode is stored in the file (sqlite.org/wal.html, "Persistence of WAL Mode"). The switch needs exclusive
        # access and does not always wait: other processes may be reading the revision at this instant.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self._engine.connect() as connection:
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

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            raise explain(error.orig, self.path) from error
        except (sqlite3.Error, OSError) as error:
            raise explain(error, self.path) from error


def database_path(path_or_url: Path | str) -> Path:
    """The SQLite file that a path, or a URL such as ``sqlite:////var/lib/douane/catalog.sqlite``, names.

    Raises CatalogError for other databases (PostgreSQL comes with several machines) and for one in memory.
    """
    text = os.fspath(path_or_url)
    if "://" not in text:
        return Path(os.path.abspath(text))
    try:
        url = make_url(text)
    except exc.ArgumentError as error:
        raise BadValue(f"{text!r} is not a database URL; name a file, or sqlite:///FILE") from error
    if url.get_backend_name() != "sqlite":
        # Without the URL, which may hold a password.
        raise BadValue(
            f"the catalog cannot be kept in {url.get_backend_name()} yet; name a file, or sqlite:///FILE",
        )
    if not url.database or url.database == ":memory:":
        raise BadValue("the catalog must be a file that several processes can open, not in memory")
    return Path(os.path.abspath(url.database))


def revision_of(connection: Connection) -> str | None:
    """The revision of a database; None if it is empty.

    Raises CatalogError if it holds the tables of another program.
    """
    names = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" not in names:
        if names:
            raise CatalogError(
                f"the database holds tables that are not Douane's ({', '.join(sorted(names))[:80]}); name another file",
                code="catalog-foreign",
            )
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


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


def _package_migrations(connection: Connection) -> None:
    from .migrate import upgrade

    upgrade(connection)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
