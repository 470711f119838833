"""Databases of PostgreSQL for the tests of the catalog."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from douane.catalog import Catalog

from .glance.postgres import Postgres


@contextmanager
def on(server: Postgres) -> Iterator[str]:
    """The URL of a new database with an empty catalog."""
    name = f"catalog-{uuid.uuid4()}"
    try:
        yield server.prepare(name, "catalog-empty", lambda url: Catalog(url).close())
    finally:
        server.drop(name)
