"""Uploads whose clients say nothing more: small calls are answered beside them, and all are dropped in time."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import time

from bench.harness import Row, Settings

from .server import Server
from .small_calls import SmallCalls, idle_p99

SILENT_SECONDS = 10
DROP_SECONDS = 3 * SILENT_SECONDS
CONFIG = f"""
[[plugin]]
name = "format"
use = "format"

[serve]
client_timeout = "{SILENT_SECONDS}s"

[serve.quota]
image_count_uploading = 100000
"""


def measure(settings: Settings) -> list[Row]:
    """Rows of milliseconds, and of connections that were not dropped."""
    count = settings.times(1000, 100)
    _allow_descriptors(count + 200)
    folder = settings.directory / "serve-silent"
    folder.mkdir()
    config = folder / "douane.toml"
    config.write_text(CONFIG)
    with Server(folder / "home", config) as server, contextlib.ExitStack() as stack:
        images = [server.create() for _ in range(count)]
        idle = idle_p99(server)
        silent = [stack.enter_context(contextlib.closing(_begin(server.port, image))) for image in images]
        with SmallCalls(server) as calls:
            open_at_end = _wait_until_closed(silent, DROP_SECONDS)
        p99 = calls.p99()
    return [
        Row(f"small call beside {count} silent uploads, p99", p99, idle, "idle", "ms", max_ratio=10.0),
        Row("silent uploads that were not dropped", open_at_end, count, "uploads", "", max_ratio=0.0, timed=False),
    ]


def _begin(port: int, image: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(
        f"PUT /v2/images/{image}/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        "Content-Length: 1000000\r\n\r\n".encode()
        + bytes(1000)
    )
    return sock


def _wait_until_closed(sockets: list[socket.socket], seconds: float) -> int:
    """How many are still open after so long."""
    poll = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    end = time.monotonic() + seconds
    while by_fd and time.monotonic() < end:
        for fd, _ in poll.poll(500):
            try:
                closed = not by_fd[fd].recv(1 << 16)
            except OSError:
                closed = True
            if closed:
                poll.unregister(fd)
                del by_fd[fd]
    return len(by_fd)


def _allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(count, soft), hard), hard))
