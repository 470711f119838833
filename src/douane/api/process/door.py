"""The door: the process that answers requests. It holds no state, and moves bytes only.

``python -m douane.api.process.door SPEC`` is started by the supervisor.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from douane.api.app import make_app
from douane.api.assembly import make_service
from douane.errors import DouaneError
from douane.imports import tracing
from douane.imports.service_file import read_service_file
from douane.imports.service_log import configure_log
from douane.imports.service_stores import compare_stores

from .door_pulse import DoorPulse
from .listening import BACKLOG
from .spec import DoorSpec

log = logging.getLogger("douane.serve")

HEADER_SECONDS = 15
"""How long the headers of a request may take, and how long an open connection may wait for the next request."""
CONNECTIONS = 4096
BUFFER_BYTES = 512 * 1024
"""Of a connection; headers that do not fit are 431."""


class DoorServer(Server):
    """Granian in this process, on a socket that listens already."""

    def __init__(self, application: Any, listener: socket.socket) -> None:
        super().__init__(
            application,
            interface=Interfaces.ASGINL,
            websockets=False,
            # The number of connections: others wait in the socket's queue, small calls with them.
            backpressure=CONNECTIONS,
            http=HTTPModes.http1,
            log_enabled=False,
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=BUFFER_BYTES, pipeline_flush=False
            ),
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # Granian's own worker processes get their socket so; its type stub lacks the constructor.
        # It closes the descriptor when it accepts no more.
        self._shd: Any = SocketHolder(os.dup(self._listener.fileno()), False, BACKLOG)  # type: ignore[call-arg]  # see above
        self._ssp = None


class Door:
    """One door, from its start to its end."""

    def __init__(self, spec: DoorSpec) -> None:
        self._spec = spec
        self._listener = socket.socket(fileno=spec.listen_fd)
        home = Path(spec.home)
        service = read_service_file(home)
        self._service = make_service(home, service.settings, service.served, spec.name, is_checked=True)
        compare_stores(self._service.stores, service.identities)
        self._server = DoorServer(make_app(self._service), self._listener)
        os.set_inheritable(spec.beat_fd, False)
        self._pulse = DoorPulse(self._ask_health, spec.beat_fd)

    async def serve(self) -> None:
        """Answer requests until SIGTERM, or until the supervisor is gone; requests that have begun are finished."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        loop.add_reader(self._spec.life_fd, self._stop)
        ready = asyncio.create_task(self._report_ready())
        pulse = asyncio.create_task(self._pulse.run())
        try:
            await self._server.serve()
        finally:
            ready.cancel()
            pulse.cancel()
            self._service.close()

    async def _ask_health(self) -> None:
        await self._service.pool.run(self._service.catalog.unfinished_by_step)

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._spec.life_fd)
        self._service.draining.set()
        self._listener.close()
        self._server.stop()  # type: ignore[no-untyped-call]  # of Granian

    def _reload(self) -> None:
        """Take the plan that the supervisor has tried. Requests that have begun keep the plan they began with."""
        try:
            self._service.use_plan(read_service_file(Path(self._spec.home)).served)
        except DouaneError as error:
            log.error("the new plan cannot be used, so the old one is still served: %s", error)

    async def _report_ready(self) -> None:
        """Tell the supervisor when a request is answered."""
        place = urlsplit(self._spec.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(b"GET /healthcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = await reader.readline()
        writer.close()
        if b" 200 " in status:
            os.write(self._spec.ready_fd, b"\n")
        os.close(self._spec.ready_fd)


def main() -> None:
    """Run a door."""
    _allow_descriptors()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_log("door")
    tracing.configure("door")
    spec = msgspec.json.decode(sys.argv[1], type=DoorSpec)
    asyncio.run(Door(spec).serve())
    tracing.close()


def _allow_descriptors() -> None:
    """As many as the system gives: each upload has two or three."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
