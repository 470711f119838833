"""A clock of the database that a test sets: it stands still otherwise, so that every lease can be predicted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from douane.catalog import Catalog
from douane.catalog.clock import database_time

_TABLE = "test_clock"
_BEGINNING = 1_800_000_000.0


class DatabaseClock:
    """Seconds since the epoch, as the database of `catalog` has them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        with catalog._database.write() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {_TABLE} (seconds DOUBLE PRECISION)")
            connection.exec_driver_sql(f"INSERT INTO {_TABLE} VALUES ({_BEGINNING})")
        self.now = _BEGINNING

    def step(self, seconds: float) -> None:
        """Let the time pass, or set the clock back."""
        self.now += seconds
        with self._catalog._database.write() as connection:
            _set(connection, self.now)


def _set(connection: Connection, seconds: float) -> None:
    connection.exec_driver_sql(f"UPDATE {_TABLE} SET seconds = {seconds}")


def _sqlite(element: database_time, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    moment = f"(SELECT seconds FROM {_TABLE}) + {seconds}"
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {moment}, 'unixepoch')"


def _postgresql(element: database_time, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    moment = f"to_timestamp((SELECT seconds FROM {_TABLE}) + {seconds}) AT TIME ZONE 'UTC'"
    return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


@contextmanager
def set_clocks() -> Iterator[None]:
    """Catalogs that are opened in the block read the time from a table, which `DatabaseClock` makes."""
    specs: dict[str, Any] = database_time._compiler_dispatcher.specs  # type: ignore[attr-defined]  # of `compiles`
    originals = dict(specs)
    specs.update(sqlite=_sqlite, postgresql=_postgresql)
    try:
        yield
    finally:
        specs.update(originals)
