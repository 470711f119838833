"""Server processes: started, waited for, stopped and killed by their process group."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

READY_TRIES = 1200
"""Of a tenth of a second each: a loaded machine imports Glance in tens of seconds."""


class DidNotStart(Exception):
    """A server ended, or did not answer. The message has the end of its log."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """True if nobody listens on this port of loopback, and a server may."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def run(argv: Sequence[str], env: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Run a program to its end with `stdin`, and return its output. Raises RuntimeError with the output."""
    process = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, timeout=300, check=False)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}:\n{process.stdout}\n{process.stderr}")
    return process.stdout


def answers(host: str, port: int) -> bool:
    """True if a server accepts TCP connections there."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


class ServerProcess:
    """A server, its workers and its log. The processes are one group, so that none outlives a kill."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str], user: str | None = None) -> None:
        self._argv = list(argv)
        self._env = dict(env)
        self._user = user
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started (uwsgi's master). Raises RuntimeError if it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self._argv[0]} does not run:\n{self.tail()}")
        return self._process.pid

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it, and return when `ready` says so. Raises DidNotStart."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                user=self._user,
                start_new_session=True,
            )
        for _ in range(READY_TRIES):
            # The pause between two checks is a wait for the end of the process, so that a failure shows at once.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
                raise DidNotStart(f"{self._argv[0]} ended with {self._process.returncode}:\n{self.tail()}")
            if ready():
                return
        self.kill()
        raise DidNotStart(f"{self._argv[0]} does not answer:\n{self.tail()}")

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and wait; then kill the rest of its group. Idempotent."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal_number)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._kill_group()
        self.kill()

    def kill(self) -> None:
        """kill -9, all processes of the group at once. Idempotent."""
        if self._process is not None:
            self._kill_group()
            self._process.wait(30)
            # Workers are not our children: one that has not ended yet holds the port.
            while _alive_in_group(self._process.pid):
                time.sleep(0.01)

    def kill_leader(self, signal_number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process that was started, which ends it, and wait; the rest of the group learns it."""
        assert self._process is not None
        self._process.send_signal(signal_number)
        self._process.wait(60)

    def _kill_group(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def tail(self, characters: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""


def _alive_in_group(group: int) -> bool:
    """True if a process of this group has not ended; a zombie (state Z) has. See proc(5)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, process_group = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                return True
    return False
