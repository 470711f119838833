"""The agent: it listens on a local socket and starts a session for each client."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from dataclasses import dataclass

from douane.errors import DouaneError

from .listener import Listener
from .protocol import Connection, Hangup
from .served_plan import ServedPlan
from .session import Session, busy
from .workers import Workers

log = logging.getLogger("douane")

_STOP_SECONDS = 60.0
_LINE_SECONDS = 30.0
_MAX_LINE_BYTES = 1 << 20
_MAX_CLIENTS = 256
"""Connections at a time, each with a thread that waits."""


@dataclass(frozen=True)
class Options:
    """How the agent serves. `wait`: seconds that an image waits for its turn. `mode`: permissions of the socket."""

    socket: str
    config: str | None
    sandbox: str | None = None
    at_once: int = 2
    wait: float = 300.0
    mode: int = 0o660
    warm: bool = True


class Server:
    """An agent. Raises PlanError or DouaneError if the plan cannot be served; then nothing listens."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._reload_lock = threading.Lock()
        self._served = ServedPlan.load(options.config, options.sandbox)
        self._workers = Workers(options.at_once, lambda: self._served, warm=options.warm)
        self._listener = Listener(options.socket, options.mode)
        self._clients = threading.BoundedSemaphore(_MAX_CLIENTS)
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
        poll = select.poll()
        poll.register(self._listener.socket, select.POLLIN)
        poll.register(self._wake_read_fd, select.POLLIN)
        log.info("listening on %s, %d at a time", self._options.socket, self._options.at_once)
        while not self._is_stopping:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake_read_fd in ready:
                os.read(self._wake_read_fd, 512)
            if self._listener.socket.fileno() in ready:
                self._accept()
        self._listener.remove()
        self._workers.stop(_STOP_SECONDS)

    def stop(self) -> None:
        """Stop serving as soon as something arrives on `wake_fd`. Safe in a signal handler."""
        self._is_stopping = True

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.socket.accept()
        except OSError as error:
            log.error("a client cannot be accepted: %s", error)
            time.sleep(0.1)  # too many open files, for example: trying again at once would not help
            return
        try:
            self._start_session(sock)
        except RuntimeError as error:
            log.error("a client is turned away: %s", error)
            connection = Connection(sock, patience=_LINE_SECONDS)
            with contextlib.suppress(Hangup), contextlib.closing(connection):
                connection.send(busy(self._options.wait))

    def _start_session(self, sock: socket.socket) -> None:
        """Raises RuntimeError if there are too many clients, or no thread is to be had."""
        if not self._clients.acquire(blocking=False):
            raise RuntimeError(f"there are {_MAX_CLIENTS} clients already")
        connection = Connection(sock, patience=_LINE_SECONDS, max_line_bytes=_MAX_LINE_BYTES)
        session = Session(connection, self._workers, self._served.facts, self._options.wait)

        def run() -> None:
            try:
                session.run()
            finally:
                self._clients.release()

        try:
            threading.Thread(target=run, daemon=True).start()
        except BaseException:
            self._clients.release()
            raise


def serve(options: Options) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    server = Server(options)
    # The kernel may hand a signal to any thread, and the main thread would sleep on (signal.set_wakeup_fd).
    signal.set_wakeup_fd(server.wake_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    signal.signal(signal.SIGINT, lambda *_: server.stop())
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=server.reload, daemon=True).start())
    server.run()
