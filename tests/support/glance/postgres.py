"""A PostgreSQL for the tests: SQLite answers "database is locked" at two concurrent clients of Glance."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from .processes import DidNotStart, ServerProcess, run

RESTARTS = 100
"""A server that is killed leaves its memory to processes that have not noticed yet; a new one refuses to start."""


class Postgres:
    """A server on a Unix socket in a folder that no other user may enter; `stop` deletes it."""

    def __init__(self, connections: int = 300) -> None:
        # Not pytest's folder: a Unix socket's path has at most 107 bytes (unix(7)).
        self._folder = Path(tempfile.mkdtemp(prefix="douane-pg-"))
        self._bin = programs()
        self._owner = owner()
        if self._owner is not None:
            # A Glance of our group, without the right to ignore permissions, must reach the socket, too.
            shutil.chown(self._folder, self._owner, os.getegid())
            self._folder.chmod(0o710)
        self._data = self._folder / "data"
        self._templates: set[str] = set()
        self._server = ServerProcess(
            [
                *(f"{self._bin}/postgres", "-D", str(self._data), "-k", str(self._folder)),
                *("-c", "listen_addresses=", "-c", "fsync=off", "-c", f"max_connections={connections}"),
            ],
            self._folder.with_suffix(".log"),
            plain_environment(),
            self._owner,
        )

    @property
    def folder(self) -> Path:
        """The folder of its Unix socket."""
        return self._folder

    @property
    def pid(self) -> int:
        """Of its first process, whose children are the connections."""
        return self._server.pid

    def start(self) -> None:
        """Create the cluster and start it. Raises RuntimeError or DidNotStart."""
        how = ("--auth=trust", "--no-sync", "-E", "UTF8", "--no-locale")
        self._run("initdb", "-D", str(self._data), "-U", "tests", *how)
        self._server.start(self._is_ready)

    def stop(self) -> None:
        """Stop it (SIGINT: without waiting for clients), and remove its data."""
        self._server.stop(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._server.log.unlink(missing_ok=True)

    def crash(self, signal_number: signal.Signals = signal.SIGKILL) -> None:
        """End the server's first process without a checkpoint; SIGQUIT is what `pg_ctl stop -m immediate` sends."""
        self._server.kill_leader(signal_number)

    def start_again(self) -> None:
        """Start it on its data after a crash. Raises DidNotStart."""
        for _ in range(RESTARTS):
            with contextlib.suppress(DidNotStart):
                return self._server.start(self._is_ready)
        raise DidNotStart(self._server.tail())

    def create(self, name: str, template: str = "template1") -> str:
        """Create a database, a copy of `template`; return its URL for SQLAlchemy."""
        self._sql("postgres", f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def prepare(self, name: str, template: str, fill: Callable[[str], None]) -> str:
        """Create a database as `fill` fills it, a copy of `template`, which is filled once; return its URL."""
        if template not in self._templates:
            fill(self.create(template))
            self._templates.add(template)
        return self.create(name, template)

    def url(self, name: str) -> str:
        """The URL of an existing database, for SQLAlchemy."""
        return f"postgresql+psycopg2://tests@/{name}?host={self._folder}"

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._sql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _sql(self, database: str, statement: str) -> str:
        return self._run("psql", "-h", str(self._folder), "-U", "tests", "-d", database, "-AtXqc", statement)

    def _is_ready(self) -> bool:
        try:
            return self._sql("postgres", "SELECT 1").strip() == "1"
        except RuntimeError:
            return False

    def _run(self, program: str, *arguments: str) -> str:
        return run_as(self._owner, f"{self._bin}/{program}", *arguments)


def run_as(user: str | None, *words: str) -> str:
    """Run a program as `user` (None: as we are), and return its output. Raises RuntimeError."""
    if user is not None:
        group = str(pwd.getpwnam(user).pw_gid)
        words = ("setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--", *words)
    return run(words, plain_environment())


def owner() -> str | None:
    """The user of the server; None: we are no root, as whom PostgreSQL refuses to run."""
    return next(name for name in ("postgres", "nobody") if _is_user(name)) if os.geteuid() == 0 else None


def programs() -> str:
    """Debian keeps the server's programs out of PATH, in a folder for each version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    path = str(folders[-1]) if folders else shutil.which("postgres")
    if path is None:
        raise FileNotFoundError("PostgreSQL's server is not installed: apt-get install postgresql")
    return str(Path(path).resolve().parent)


def _is_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def plain_environment() -> dict[str, str]:
    """Of programs that must not see ours."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": "/nonexistent"}
