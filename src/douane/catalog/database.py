"""Open the database: SQLite, PostgreSQL or MariaDB, made or migrated by the first process that opens it.

A catalog at the newest revision is opened, and a new one in SQLite is made, without Alembic, whose import alone takes
longer than the rest.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, exc, inspect, make_url

from douane.errors import BadValue, CatalogError

from .contention import taken_again
from .sqlite import SQLite, file_path

HEAD = "0010"
"""The newest revision in ``migrations/versions``, which this release reads and writes."""


class Server(Protocol):
    """What differs between the databases."""

    name: str
    """How messages name it: never with a password."""

    engine: Engine
    retries: bool
    """Transactions that got into each other's way may be taken again."""

    @property
    def exists(self) -> bool:
        """False: there is nothing to read yet."""

    def prepare(self, check: Callable[[], None]) -> None:
        """Before the first migration; `check` refuses a database that must not be changed."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """A connection on which no other process migrates at once: in one transaction, if the database has such."""

    def prepared(self) -> None:
        """After the migration."""

    def tables(self, connection: Connection) -> set[str]:
        """The names of all tables."""

    def explain(self, error: BaseException | None) -> CatalogError:
        """The CatalogError for an error of the driver or of the system."""


class Database:
    """Short transactions on the catalog's database; every failure is a CatalogError.

    Safe for threads; not for use in a child after fork(2).
    """

    def __init__(
        self, path_or_url: Path | str, migrate: Callable[[Connection], None] | None = None, *, is_checked: bool = False
    ) -> None:
        """Open the database, after making or migrating it if necessary. `migrate` replaces the package's migrations.

        `is_checked`: another process of the same service has just done so. Then nothing is asked of the server, which
        may be away: the first transaction says so.
        """
        self._server = server_of(path_or_url)
        self._engine = self._server.engine

        def prepare() -> None:
            with self._explained():
                if not self._server.exists or not (is_checked or self._is_usable()):
                    self._prepare(migrate or _package_migrations)

        try:
            # What was done of a migration stays or is repeated.
            taken_again(prepare) if self.retries else prepare()
        except BaseException:
            self.close()
            raise

    @property
    def retries(self) -> bool:
        """True: an operation that failed with ``catalog-busy`` may be taken again."""
        return self._server.retries

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
        """A transaction, rolled back if the block raises. In SQLite it holds the only write lock from its start; in
        PostgreSQL and MariaDB it holds the rows that it changed: change the image's row first, then read what depends
        on it."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """The connection of :meth:`Server.migrating`."""
        with self._explained(), self._server.migrating() as connection:
            yield connection

    def _prepare(self, migrate: Callable[[Connection], None]) -> None:
        self._server.prepare(self._check)
        # Several processes may come here at once: the first one migrates, and the others find the newest revision.
        with self._server.migrating() as connection:
            if not self._is_usable_in(connection, self._revision_of(connection)):
                migrate(connection)
        self._server.prepared()

    def _is_usable(self) -> bool:
        with self._engine.connect() as connection:
            connection.execution_options(douane_read_only=True)
            return self._is_usable_in(connection, self._revision_of(connection))

    def _is_usable_in(self, connection: Connection, revision: str | None) -> bool:
        """True for the newest revision, and for a later one that says that this release may use it, too."""
        if revision is None or not revision.isdecimal() or int(revision) <= int(HEAD):
            return revision == HEAD
        if "marks" not in self._server.tables(connection):
            return False
        row = connection.exec_driver_sql("SELECT value FROM marks WHERE name = 'oldest_revision'").first()
        return row is not None and str(row[0]).isdecimal() and int(row[0]) <= int(HEAD)

    def _revision_of(self, connection: Connection) -> str | None:
        """The revision of the database; None if it is empty. Raises CatalogError if it is another program's."""
        names = self._server.tables(connection)
        if "alembic_version" not in names:
            if names:
                some = ", ".join(sorted(names))[:80]
                raise CatalogError(
                    f"the database holds tables that are not Douane's ({some}); name another", code="catalog-foreign"
                )
            return None
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
        return None if row is None else str(row[0])

    def _check(self) -> None:
        """Refuse other databases, and catalogs of a later release that this one must not use, before anything is
        changed."""
        with self._engine.connect() as connection:
            connection.execution_options(douane_read_only=True)
            revision = self._revision_of(connection)
            is_usable = self._is_usable_in(connection, revision)
        if revision is None:
            return
        if not revision.isdecimal():
            raise CatalogError(
                f"{self._server.name} is not a catalog of Douane (its revision is {revision!r}); name another",
                code="catalog-foreign",
            )
        if int(revision) > int(HEAD) and not is_usable:
            raise CatalogError(
                f"the catalog {self._server.name} was made by a later release of Douane (revision {revision}; "
                f"this one knows up to {HEAD}); upgrade Douane, or name another home",
                code="catalog-newer",
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (exc.DataError, UnicodeEncodeError) as error:
            # An id that was not checked, with a character that no database has in text: a NUL, half a surrogate pair.
            raise BadValue("a value has a character that is not text, or does not fit its column") from error
        except exc.DBAPIError as error:
            raise self._server.explain(error.orig) from error
        except (sqlite3.Error, OSError) as error:
            raise self._server.explain(error) from error


def server_of(path_or_url: Path | str) -> Server:
    """The database that a path names, or a URL: ``sqlite:////var/lib/douane/catalog.sqlite``,
    ``postgresql://USER:PASSWORD@HOST/DATABASE`` or ``mysql://USER:PASSWORD@HOST/DATABASE``, which is MariaDB.

    Raises BadValue for other databases. No message has the URL, which may hold a password.
    """
    text = os.fspath(path_or_url)
    if "://" not in text:
        return SQLite(file_path(text))
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (exc.ArgumentError, ValueError):
        raise BadValue(
            "the URL of the catalog's database cannot be read; it is sqlite:///FILE, "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE or mysql://USER:PASSWORD@HOST:PORT/DATABASE with percent "
            "signs for special characters"
        ) from None  # whose text has the URL
    if backend == "sqlite":
        return SQLite(file_path(url.database or ""))
    if backend == "postgresql":
        from .postgresql import PostgreSQL  # the driver is an extra, and takes time to import

        return PostgreSQL(url)
    if backend in ("mysql", "mariadb"):
        from .mariadb import MariaDB

        return MariaDB(url)
    raise BadValue(
        f"the catalog cannot be kept in {backend}; name a file, sqlite:///FILE, postgresql://HOST/DATABASE or "
        "mysql://HOST/DATABASE"
    )


def _package_migrations(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and not inspect(connection).get_table_names():
        from .creation import create

        create(connection, HEAD)
        return
    from .migrate import upgrade

    upgrade(connection)
