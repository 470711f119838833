"""Calls of ``GET /v2/images?limit=1`` one after the other, and the time that 99 of 100 do not exceed.

They are made by a process of their own: in the process of 200 threads that upload, they would wait for these threads'
interpreter lock, and measure it.

    python -m bench.service.small_calls PORT

prints the seconds of each call, as JSON, when its standard input ends.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import subprocess
import sys
import time

from .server import Server

PAUSE_SECONDS = 0.02


class SmallCalls:
    """The calls, as long as the block lasts."""

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self.seconds: list[float] = []

    def __enter__(self) -> SmallCalls:
        words = [sys.executable, "-m", __name__, str(self._port)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        output, _errors = self._process.communicate()
        self.seconds = json.loads(output)

    def p99(self) -> float:
        """Milliseconds that 99 of 100 calls did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000


def idle_p99(server: Server, seconds: float = 5.0) -> float:
    """The same, of a service that has nothing else to do."""
    with SmallCalls(server) as calls:
        time.sleep(seconds)
    return calls.p99()


def _call(port: int) -> float:
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/v2/images?limit=1")
        connection.getresponse().read()
    return time.perf_counter() - start


if __name__ == "__main__":
    measured = []
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        measured.append(_call(int(sys.argv[1])))
    json.dump(measured, sys.stdout)
