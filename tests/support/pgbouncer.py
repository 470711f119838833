"""A real PgBouncer in transaction mode, before a PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.glance.postgres import Postgres, owner, plain_environment
from support.glance.processes import ServerProcess, answers, free_port

CONFIGURATION = """
[databases]
* = host={folder} user=tests

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
"""


def program() -> str:
    """Debian keeps it where only administrators' shells look."""
    path = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        raise FileNotFoundError("PgBouncer is not installed: apt-get install pgbouncer")
    return path


@contextmanager
def pooled(postgres: Postgres, database: str, connections: int) -> Iterator[str]:
    """The URL of `database` through a PgBouncer that has as many connections for all clients."""
    port = free_port()
    file = postgres.folder / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(folder=postgres.folder, port=port, connections=connections))
    user = owner()
    if user is not None:
        shutil.chown(file, user)
    log = Path(postgres.folder.with_name(f"{postgres.folder.name}-pgbouncer.log"))
    server = ServerProcess([program(), str(file)], log, plain_environment(), user)
    try:
        server.start(lambda: answers("127.0.0.1", port))
        yield f"postgresql://tests@127.0.0.1:{port}/{database}"
    finally:
        server.stop()
        log.unlink(missing_ok=True)
