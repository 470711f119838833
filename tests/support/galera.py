"""A cluster of two MariaDB servers, both of which are written at once: what Galera replicates, and what it refuses."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from .glance.processes import ServerProcess, free_port, run

NODES = 2
LIBRARIES = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")
PROXY = Path(__file__).with_name("spread_connections.py")


class Galera:
    """Two servers on Unix sockets, and a proxy that gives connections to them in turn; the nodes talk on loopback."""

    def __init__(self) -> None:
        # rsync, by which a node gets its first state, leaves the rights of root.
        self._user = "mysql" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._env = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "LC_ALL": "C", "HOME": "/nonexistent"}
        self._library = next((path for path in LIBRARIES if os.path.exists(path)), None)
        if self._library is None or shutil.which("mariadbd", path=self._env["PATH"]) is None:
            raise FileNotFoundError("Galera is not installed: apt-get install mariadb-server galera-4")
        self._folder = Path(tempfile.mkdtemp(prefix="douane-galera-"))
        self._give_to_user(self._folder)
        self._folder.chmod(0o755)
        # Galera needs a port for the cluster, one for changes that a node missed, one for its first state.
        self._ports = [[free_port() for _ in range(3)] for _ in range(NODES)]
        self._name = f"tests-{uuid.uuid4()}"
        self.nodes = [self._node(number) for number in range(NODES)]
        self._proxy = ServerProcess(
            [sys.executable, str(PROXY), str(self._folder / "socket"), *map(str, map(self.socket, range(NODES)))],
            self._folder / "proxy.log",
            dict(os.environ),
        )

    def socket(self, number: int) -> Path:
        """The Unix socket of a node."""
        return self._folder / str(number) / "socket"

    def start(self) -> None:
        """Make the first node's tables, and start both; the second gets its state from the first. Raises
        DidNotStart."""
        for number in range(NODES):
            for path in (self._folder / str(number), self._data(number)):
                path.mkdir()
                self._give_to_user(path)
        make = ["mariadb-install-db", "--no-defaults", f"--datadir={self._data(0)}", f"--tmpdir={self._data(0).parent}"]
        as_user = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups", "--"]
        how = ("--auth-root-authentication-method=normal", "--skip-test-db")
        run([*(as_user if os.geteuid() == 0 else []), *make, *how], self._env)
        for number in range(NODES):
            self.start_again(number)
        self._proxy.start((self._folder / "socket").exists)

    def start_again(self, number: int) -> None:
        """Start a node on its data, which gets what it missed. Raises DidNotStart."""
        self.nodes[number].start(lambda: self._is_ready(number))

    def stop(self) -> None:
        """Stop all, and remove their data."""
        self._proxy.stop()
        for node in reversed(self.nodes):
            node.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, name: str) -> str:
        """Create a database; return its URL for SQLAlchemy: connections go to the nodes in turn."""
        self.execute(f"CREATE DATABASE `{name}`")
        for number in range(NODES):
            self.execute("SET SESSION wsrep_sync_wait = 15; SELECT 1", number)  # once this node has it, too
        return self.url(name)

    def prepare(self, name: str, template: str, fill: Callable[[str], None]) -> str:
        """Create a database, and `fill` it; return its URL."""
        fill(self.create(name))
        return self.url(name)

    def drop(self, name: str) -> None:
        """Remove a database."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def url(self, name: str, number: int | None = None) -> str:
        """The URL of an existing database, by way of the proxy or of one node."""
        path = self._folder / "socket" if number is None else self.socket(number)
        return f"mysql+pymysql://root@localhost/{name}?unix_socket={path}"

    def execute(self, statement: str, number: int = 0) -> str:
        """The output of a statement on one node."""
        client = ["mariadb", "--no-defaults", f"--socket={self.socket(number)}", "--user=root"]
        return run([*client, "-e", statement], self._env)

    def _data(self, number: int) -> Path:
        return self._folder / str(number) / "data"

    def _give_to_user(self, path: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(path, self._user)

    def _node(self, number: int) -> ServerProcess:
        cluster, missed, state = self._ports[number]
        addresses = ",".join(f"127.0.0.1:{ports[0]}" for ports in self._ports[:number])
        provider = f"gmcast.listen_addr=tcp://127.0.0.1:{cluster};ist.recv_addr=127.0.0.1:{missed};gcache.size=32M"
        return ServerProcess(
            [
                *("mariadbd", "--no-defaults", "--skip-networking", "--innodb-flush-method=nosync"),
                *(f"--datadir={self._data(number)}", f"--socket={self.socket(number)}"),
                f"--tmpdir={self._data(number).parent}",  # a server that starts removes all temporary tables there
                *("--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-on=ON"),
                *(f"--wsrep-provider={self._library}", f"--wsrep-provider-options={provider}"),
                *(f"--wsrep-cluster-name={self._name[:24]}", f"--wsrep-cluster-address=gcomm://{addresses}"),
                *(f"--wsrep-node-address=127.0.0.1:{cluster}", "--wsrep-sst-method=rsync"),
                f"--wsrep-sst-receive-address=127.0.0.1:{state}",
            ],
            self._folder / f"{number}.log",
            self._env,
            self._user if os.geteuid() == 0 else None,
        )

    def _is_ready(self, number: int) -> bool:
        try:
            return "ON" in self.execute("SHOW STATUS LIKE 'wsrep_ready'", number)
        except RuntimeError:
            return False
