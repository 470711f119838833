"""The database's clock, in SQL: leases are compared on one clock, whatever the clocks of the machines say."""

from typing import Any

from sqlalchemy import Connection, Float, String, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

LEASE_SECONDS = 20.0
"""How long a worker owns its tasks after its last heartbeat."""


class database_time(FunctionElement[str]):
    """The time of the database now, `seconds` later (or earlier), as text in the order of time: UTC, RFC 3339, with
    three digits."""

    type = String()
    name = "database_time"
    inherit_cache = True

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(literal(round(float(seconds), 3), Float))


@compiles(database_time, "sqlite")
def _sqlite(element: database_time, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', {seconds} || ' seconds')"


@compiles(database_time, "postgresql")
def _postgresql(element: database_time, compiler: Any, **options: Any) -> str:
    # Not now(), which is the time at which the transaction began: it may have waited for a lock since.
    seconds = compiler.process(element.clauses, **options)
    moment = f"(clock_timestamp() + make_interval(secs => {seconds})) AT TIME ZONE 'UTC'"
    return f"""to_char({moment}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


@compiles(database_time, "mysql")
def _mariadb(element: database_time, compiler: Any, **options: Any) -> str:
    # Not UTC_TIMESTAMP, which is the time at which the statement began: it may have waited for a lock since. The time
    # zone of every connection is UTC (`mariadb.py`).
    seconds = compiler.process(element.clauses, **options)
    moment = f"SYSDATE(3) + INTERVAL {seconds} SECOND"
    # The percent signs are those of the driver's parameters, too.
    return f"CONCAT(LEFT(DATE_FORMAT({moment}, '%%Y-%%m-%%dT%%H:%%i:%%s.%%f'), 23), 'Z')"


def time_in(connection: Connection, seconds: float = 0.0) -> str:
    """The database's time in so many seconds, for a comparison by an index: PostgreSQL uses none for a value that may
    differ from row to row, as the time does."""
    return str(connection.execute(select(database_time(seconds))).scalar_one())
