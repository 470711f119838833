"""A PostgreSQL of our own for measurements, that of the tests (tests/support/glance)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.glance.postgres import Postgres  # the folder is added above

__all__ = ["Postgres", "create", "postgresql"]


@contextlib.contextmanager
def postgresql() -> Iterator[Postgres | None]:
    """A server in a folder of its own, with the defaults but for fsync; None if PostgreSQL is not installed."""
    try:
        server = Postgres()
    except FileNotFoundError:
        yield None
        return
    try:
        server.start()
        yield server
    finally:
        server.stop()


def create(server: Postgres, name: str) -> str:
    """A new database; its URL for Douane."""
    return server.create(name).replace("psycopg2", "psycopg")
