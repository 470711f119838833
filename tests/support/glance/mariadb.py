"""A MariaDB: Glance makes its tables there with utf8mb3, which has no character beyond U+FFFF; Douane with utf8mb4."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from .processes import ServerProcess, run


class MariaDb:
    """A database server with a socket of its own, and no network."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="douane-mariadb-"))
        self._socket = self._folder / "socket"
        self._user = pwd.getpwuid(os.geteuid()).pw_name  # it runs as root only if it is told so
        self._env = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "LC_ALL": "C", "HOME": "/nonexistent"}
        program = shutil.which("mariadbd", path=self._env["PATH"])
        if program is None:
            raise FileNotFoundError("MariaDB's server is not installed: apt-get install mariadb-server")
        self._server = ServerProcess(
            [
                program,
                *self._options(),
                f"--socket={self._socket}",
                "--skip-networking",
                "--innodb-flush-method=nosync",
            ],
            self._folder.with_suffix(".log"),
            self._env,
        )

    def _options(self) -> tuple[str, ...]:
        # A server that starts removes the temporary tables in its folder for them, whosever they are.
        own = f"--tmpdir={self._folder}"
        return ("--no-defaults", f"--datadir={self._folder / 'data'}", f"--user={self._user}", own)

    def start(self) -> None:
        """Create its tables and start it. Raises RuntimeError or DidNotStart."""
        how = ("--auth-root-authentication-method=normal", "--skip-test-db")
        run(["mariadb-install-db", *self._options(), *how], self._env)
        self._server.start(self._is_ready)

    def stop(self) -> None:
        """Stop it, and remove its data."""
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._server.log.unlink(missing_ok=True)

    @property
    def folder(self) -> Path:
        """The folder of its Unix socket."""
        return self._folder

    def crash(self, signal_number: signal.Signals = signal.SIGKILL) -> None:
        """End the server without writing what it has in memory."""
        self._server.kill_leader(signal_number)

    def start_again(self) -> None:
        """Start it on its data after a crash. Raises DidNotStart."""
        self._server.start(self._is_ready)

    def create(self, name: str) -> str:
        """Create a database; return its URL for SQLAlchemy."""
        self.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def prepare(self, name: str, template: str, fill: Callable[[str], None]) -> str:
        """Create a database, and `fill` it; return its URL. A MariaDB has no templates."""
        fill(self.create(name))
        return self.url(name)

    def url(self, name: str) -> str:
        """The URL of an existing database, for SQLAlchemy."""
        return f"mysql+pymysql://root@localhost/{name}?unix_socket={self._socket}"

    def drop(self, name: str) -> None:
        """Remove a database."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def copy(self, name: str, to: str) -> str:
        """Restore a backup of a database as another one; return its URL."""
        url = self.create(to)
        backup = run(["mariadb-dump", *self._client(), "--single-transaction", name], self._env)
        run(["mariadb", *self._client(), to], self._env, backup)
        return url

    def _client(self) -> tuple[str, ...]:
        return ("--no-defaults", f"--socket={self._socket}", "--user=root")

    def execute(self, statement: str) -> str:
        """The output of a statement, by the client of the command line, which is no part of what is tested."""
        return run(["mariadb", *self._client(), "-e", statement], self._env)

    def _is_ready(self) -> bool:
        try:
            return bool(self.execute("SELECT 1"))
        except RuntimeError:
            return False
