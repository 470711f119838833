"""A PostgreSQL with a streaming replica, each on a host of its own; the replica can be promoted.

Commits wait for the replica, as a site has it that must lose nothing in a failover. The two are at the same port.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .glance.postgres import RESTARTS, owner, plain_environment, programs, run_as
from .glance.processes import DidNotStart, ServerProcess
from .network import Host
from .waiting import until

_PORT = 5432
_ACCESS = "local all all trust\nhost all all 10.99.0.0/24 trust\nhost replication all 10.99.0.0/24 trust\n"


class Node:
    """A server on a host; also on a Unix socket, so that partitions do not keep tests out."""

    def __init__(self, folder: Path, host: Host, env: Mapping[str, str] | None = None) -> None:
        """`env` is added to the server's environment."""
        self.host = host
        self.folder = folder
        folder.mkdir()
        self.data = folder / "data"
        self._owner = owner()
        self._programs = programs()
        if self._owner is not None:
            shutil.chown(folder, self._owner)
        self.server = ServerProcess(
            [
                *(f"{self._programs}/postgres", "-D", str(self.data), "-k", str(folder), "-p", str(_PORT)),
                *("-c", f"listen_addresses={host.address}", "-c", "fsync=off", "-c", "max_connections=300"),
                *("-c", "wal_retrieve_retry_interval=200ms", "-c", "wal_keep_size=512MB"),
                *("-c", "wal_sender_timeout=0", "-c", "wal_receiver_timeout=0"),  # a test may set its clock
            ],
            folder / "log",
            {**plain_environment(), **(env or {})},
            self._owner,
        )

    def make(self) -> None:
        """Make an empty cluster."""
        how = ("--auth=trust", "--no-sync", "-E", "UTF8", "--no-locale")
        self._run("initdb", "-D", str(self.data), "-U", "tests", *how)
        (self.data / "pg_hba.conf").write_text(_ACCESS)

    def copy(self, primary: Node) -> None:
        """Become a replica of `primary`: a new copy of its data."""
        self.server.kill()
        shutil.rmtree(self.data, ignore_errors=True)
        with self.host.inside():
            source = ("-h", primary.host.address, "-p", str(_PORT), "-U", "tests")
            self._run("pg_basebackup", "-D", str(self.data), *source, "-R", "--no-sync", "-c", "fast")
        with (self.data / "postgresql.auto.conf").open("a") as settings:
            settings.write("synchronous_standby_names = ''\n")  # until it has a replica itself
        self.start()

    def start(self) -> None:
        """Start it, also on what a killed server has left. Raises DidNotStart."""
        with self.host.inside():
            for _ in range(RESTARTS):
                with contextlib.suppress(DidNotStart):
                    return self.server.start(self.answers)
        raise DidNotStart(self.server.tail())

    def answers(self) -> bool:
        """True if it takes connections."""
        with contextlib.suppress(RuntimeError):
            return self.sql("SELECT 1").strip() == "1"
        return False

    def sql(self, statement: str, database: str = "postgres") -> str:
        """The output of a statement."""
        where = ("-h", str(self.folder), "-p", str(_PORT), "-U", "tests", "-d", database)
        return self._run("psql", *where, "-AtXqc", statement)

    def _run(self, program: str, *arguments: str) -> str:
        return run_as(self._owner, f"{self._programs}/{program}", *arguments)


class ReplicatedPostgres:
    """Two nodes, of which one is the primary; close it."""

    def __init__(self, first: Host, second: Host, env: Mapping[str, str] | None = None) -> None:
        # A Unix socket's path has at most 107 bytes (unix(7)).
        self._folder = Path(tempfile.mkdtemp(prefix="douane-pair-"))
        os.chmod(self._folder, 0o755)
        self.primary = Node(self._folder / first.name, first, env)
        self.replica = Node(self._folder / second.name, second, env)

    def start(self) -> None:
        """Make both, and have commits wait for the replica."""
        self.primary.make()
        self.primary.start()
        self._replicate()

    def create(self, name: str) -> str:
        """Create a database; its URL, which names both hosts, and lets the driver look for the primary."""
        self.primary.sql(f'CREATE DATABASE "{name}"')
        hosts = "&".join(f"host={node.host.address}:{_PORT}" for node in (self.primary, self.replica))
        return f"postgresql://tests@/{name}?{hosts}&target_session_attrs=read-write"

    def socket_url(self, name: str) -> str:
        """The URL of a database in the node that is the primary now, from every host."""
        return f"postgresql://tests@/{name}?host={self.primary.folder}&port={_PORT}"

    def restart(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """Crash the primary and start it again; SIGQUIT is what `pg_ctl restart -m immediate` sends."""
        self.primary.server.kill_leader(number)
        self.primary.start()

    def fail_over(self) -> None:
        """Kill the primary and promote the replica."""
        self.primary.server.kill()
        self.replica.sql("SELECT pg_promote(true, 120)")
        self.primary, self.replica = self.replica, self.primary

    def restore_replica(self) -> None:
        """The old primary becomes the replica of the new one."""
        self._replicate()

    def _replicate(self) -> None:
        self.replica.copy(self.primary)
        until("the replica streams", lambda: self.primary.sql("SELECT 1 FROM pg_stat_replication").strip())
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql("SELECT pg_reload_conf()")

    def close(self) -> None:
        """End both, and remove their data."""
        for node in (self.primary, self.replica):
            node.server.stop(signal.SIGINT)
        shutil.rmtree(self._folder, ignore_errors=True)
