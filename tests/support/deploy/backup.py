"""The commands of docs/machines.md that back a catalog up and restore it, for each database."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.glance.mariadb import MariaDb
from support.glance.postgres import Postgres, programs


def command(*words: str, to: Path | None = None, source: Path | None = None) -> None:
    """Run a command that must succeed, with a file as its output or its input."""
    with open(to or "/dev/null", "wb") as output, open(source or "/dev/null", "rb") as text:
        ended = subprocess.run(words, stdout=output, stdin=text, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 0, f"{words}: {ended.stderr}"


class SqliteBackup:
    """The file in the home."""

    database = ""

    def dump(self, home: Path, dump: Path) -> None:
        """Write a copy of the catalog that is in use."""
        command("sqlite3", str(home / "catalog.sqlite3"), f"VACUUM INTO '{dump}'")

    def restore(self, dump: Path, home: Path) -> str:
        """Put the copy into a new home; the URL of the catalog, or none."""
        home.mkdir(mode=0o700)
        command("cp", str(dump), str(home / "catalog.sqlite3"))
        return ""


class PostgresBackup:
    """A database of a server."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self.database = server.create("douane").replace("psycopg2", "psycopg")
        self._place = (f"--host={server.folder}", "--username=tests")

    def dump(self, home: Path, dump: Path) -> None:
        """Write the state of one moment."""
        command(f"{programs()}/pg_dump", *self._place, "--format=custom", f"--file={dump}", "douane")

    def restore(self, dump: Path, home: Path) -> str:
        """Fill a new database."""
        url = self._server.create("restored").replace("psycopg2", "psycopg")
        command(
            f"{programs()}/pg_restore", *self._place, "--exit-on-error", "--no-owner", "--dbname=restored", str(dump)
        )
        return url


class MariaDbBackup:
    """A database of a server."""

    def __init__(self, server: MariaDb) -> None:
        self._server = server
        self.database = server.create("douane")
        self._place = ("--no-defaults", f"--socket={server.folder / 'socket'}", "--user=root")

    def dump(self, home: Path, dump: Path) -> None:
        """Write the state of one moment."""
        command("mariadb-dump", *self._place, "--single-transaction", "douane", to=dump)

    def restore(self, dump: Path, home: Path) -> str:
        """Fill a new database."""
        url = self._server.create("restored")
        command("mariadb", *self._place, "restored", source=dump)
        return url


Backup = SqliteBackup | PostgresBackup | MariaDbBackup


@contextmanager
def backup_of(kind: str) -> Iterator[Backup]:
    """The commands for a database; its server runs meanwhile."""
    if kind == "sqlite":
        yield SqliteBackup()
        return
    server = Postgres() if kind == "postgresql" else MariaDb()
    try:
        server.start()
        yield PostgresBackup(server) if isinstance(server, Postgres) else MariaDbBackup(server)
    finally:
        server.stop()
