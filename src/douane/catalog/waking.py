"""Waking the idle workers of all machines: LISTEN and NOTIFY of PostgreSQL.

Whatever is lost, workers look by themselves: after a second, or after ten while they listen.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, make_url

if TYPE_CHECKING:
    import psycopg

CHANNEL = "douane_tasks"
RETRY_SECONDS = 5.0
"""After the connection was lost. A server that does not allow LISTEN, such as PgBouncer, is asked no more often."""

LOOK_SECONDS = 0.5
"""How often the thread looks whether it has to end."""

_OPTIONS = {
    "application_name": "douane-listener",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def wake_workers(connection: Connection) -> None:
    """A task waits for a worker from the end of this transaction on."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_notify('{CHANNEL}', '')")


class TaskListener:
    """A connection of its own, in a thread: `fd` is readable when a task may wait. A lost connection is no error."""

    def __init__(self, url: str) -> None:
        self.fd, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.is_listening = False
        """While it is True, the worker that waits is told of every task."""

        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="douane-listener", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Forget the notifications that came."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def close(self) -> None:
        """End the thread. Idempotent."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join(2 * LOOK_SECONDS)

    def _run(self) -> None:
        import psycopg

        while not self._ended.is_set():
            with contextlib.suppress(psycopg.Error, OSError), self._connect() as connection:
                connection.execute(f"LISTEN {CHANNEL}")
                self.is_listening = is_direct(connection)
                self._ring()  # what came while nobody listened
                while not self._ended.is_set():
                    for _ in connection.notifies(timeout=LOOK_SECONDS):
                        self._ring()
            self.is_listening = False
            self._ring()  # the worker looks by itself from now on
            self._ended.wait(RETRY_SECONDS * random.uniform(0.8, 1.2))

    def _connect(self) -> psycopg.Connection:
        import psycopg

        # As the catalog's own connections: libpq reads a URL with several hosts in another way.
        url = make_url(self._url).set(drivername="postgresql+psycopg")
        _, options = url.get_dialect()().create_connect_args(url)
        return psycopg.connect(**{**_OPTIONS, **options}, autocommit=True)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full: the worker has not looked yet
            os.write(self._write_end, b".")


def is_direct(connection: psycopg.Connection) -> bool:
    """False if a pool, such as PgBouncer, stands between, and each transaction may go to another process of the server:
    a pool names another process than the one that answers."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] == connection.info.backend_pid


def listen(path_or_url: Path | str) -> TaskListener | None:
    """Listen for tasks; None where the database sends no notifications."""
    text = os.fspath(path_or_url)
    if "://" not in text or make_url(text).get_backend_name() != "postgresql":
        return None
    return TaskListener(text)
