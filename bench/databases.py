"""Database servers of our own for measurements, those of the tests (tests/support)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.catalog_servers import DatabaseServer, create, running  # the folder is added above

from .driving import WrongOutcome

__all__ = ["NAMES", "DatabaseServer", "NotInstalled", "create", "database"]

NAMES = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}


class NotInstalled(WrongOutcome):
    """There is no such server on this machine."""


@contextlib.contextmanager
def database(kind: str) -> Iterator[DatabaseServer]:
    """A server in a folder of its own, with the defaults but for writing to the disk. Raises NotInstalled."""
    try:
        with running(kind) as server:
            yield server
    except FileNotFoundError as error:
        raise NotInstalled(f"{NAMES[kind]}'s server is not installed: scripts/glance-env.sh {kind}") from error
