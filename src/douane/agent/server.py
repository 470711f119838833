"""The agent: it listens on a local socket and starts a session for each client."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
import time
from dataclasses import dataclass

from douane.engine.served_plan import ServedPlan
from douane.errors import DouaneError
from douane.stream.connection import Connection, Hangup
from douane.units import KiB

from .listener import Listener
from .lobby import Lobby
from .protocol import Failed
from .session import Desk, Session, busy
from .slots import Slots
from .workers import Workers

log = logging.getLogger("douane")

_STOP_SECONDS = 60.0
_MAX_CLIENTS = 256
"""Clients at a time that have sent a request, each with a thread that waits."""
_MAX_THREADS = 2 * _MAX_CLIENTS
"""Those included that have given way and are about to end."""


@dataclass(frozen=True)
class Options:
    """How the agent serves."""

    socket: str
    config: str | None
    sandbox: str | None = None
    at_once: int = 2
    """Slots: images whose bytes flow that are inspected at a time."""
    slow: int = 16
    """Images beside them that come slower than `min_rate`."""
    min_rate: int = 256 * KiB
    """Bytes a second."""
    wait: float = 300.0
    """Seconds that an image waits for its turn."""
    mode: int = 0o660
    """Permissions of the socket."""
    warm: bool = True


class Server:
    """An agent. Raises PlanError or DouaneError if the plan cannot be served; then nothing listens."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._reload_lock = threading.Lock()
        self._served = ServedPlan.load(options.config, options.sandbox)
        self._workers = Workers(options.at_once, lambda: self._served, warm=options.warm)
        self._listener = Listener(options.socket, options.mode)
        self._lobby = Lobby()
        self._slots = Slots(options.at_once, options.slow)
        self._desk = Desk(self._workers, self._slots, lambda: self._served, options.wait, options.min_rate)
        self._sessions_changed = threading.Condition()
        self._session_count = 0
        self._is_stopping = False
        self._wake_read_fd, self.wake_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def reload(self) -> None:
        """Read the configuration again. If it cannot be served, go on with the one before."""
        with self._reload_lock:
            try:
                self._served = ServedPlan.load(self._options.config, self._options.sandbox)
            except DouaneError as error:
                log.error("the new configuration cannot be used, so the old one is still served: %s", error)
            else:
                log.info("the configuration was read again")

    def run(self) -> None:
        """Serve until :meth:`stop`, then let the inspections that are under way end."""
        log.info("listening on %s, %d at a time", self._options.socket, self._options.at_once)
        while not self._is_stopping:
            for fd in self._wait():
                if fd == self._wake_read_fd:
                    os.read(fd, 512)
                elif fd == self._listener.socket.fileno():
                    self._accept()
                elif (connection := self._lobby.receive(fd)) is not None:
                    self._begin(connection)
        self._listener.remove()
        self._lobby.close()
        with self._sessions_changed:
            self._sessions_changed.wait_for(lambda: not self._session_count, _STOP_SECONDS)
        self._workers.stop(_STOP_SECONDS)

    def stop(self) -> None:
        """Stop serving as soon as something arrives on `wake_fd`. Safe in a signal handler."""
        self._is_stopping = True

    def _wait(self) -> list[int]:
        """Descriptors that are ready; clients before newcomers, who may take the place of a silent one."""
        seconds = self._lobby.expire()
        poll = select.poll()
        for fd in (self._wake_read_fd, *self._lobby.descriptors(), self._listener.socket.fileno()):
            poll.register(fd, select.POLLIN)
        return [fd for fd, _ in poll.poll(seconds * 1000 if seconds is not None else None)]

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.socket.accept()
        except OSError as error:
            log.error("a client cannot be accepted: %s", error)
            time.sleep(0.1)  # too many open files, for example: trying again at once would not help
            return
        self._lobby.enter(sock)

    def _begin(self, connection: Connection) -> None:
        try:
            self._start_session(connection)
        except RuntimeError as error:
            log.error("a client is turned away: %s", error)
            reply = busy(self._options.wait)
            connection.socket.settimeout(0)  # the reply fits into the socket's buffer
            with contextlib.suppress(Hangup):
                connection.send(Failed(reply.code, str(reply), reply.retry_after))
            connection.close()

    def _start_session(self, connection: Connection) -> None:
        """Raises RuntimeError if there are too many clients, or no thread is to be had."""
        session = Session(connection, self._desk)

        def run() -> None:
            try:
                session.run()
            finally:
                with self._sessions_changed:
                    self._session_count -= 1
                    self._sessions_changed.notify_all()

        with self._sessions_changed:
            is_full = self._session_count >= _MAX_CLIENTS
            if is_full and (self._session_count >= _MAX_THREADS or not self._slots.make_room()):
                raise RuntimeError(f"there are {self._session_count} clients already")
            threading.Thread(target=run, daemon=True).start()
            self._session_count += 1


def serve(options: Options) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    server = Server(options)
    # The kernel may hand a signal to any thread, and the main thread would sleep on (signal.set_wakeup_fd).
    signal.set_wakeup_fd(server.wake_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, lambda *_: server.stop())
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=server.reload, daemon=True).start())
    server.run()
