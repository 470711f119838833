"""Calls of the API, one after the other on one connection, and the seconds of each by its kind.

    python -m bench.machines.large_site.calls PORT

calls until its standard input ends, and prints them as JSON.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time

PAUSE_SECONDS = 0.05
_JSON = {"Content-Type": "application/json"}
_NEW = b'{"name": "called", "disk_format": "raw", "container_format": "bare"}'


class Caller:
    """A client that makes an image, looks at it, lists, and deletes it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.seconds: dict[str, list[float]] = {}
        self.refused = 0

    def go_round(self) -> None:
        """One call of each kind."""
        image = json.loads(self._call("create", "POST", "/v2/images", _NEW) or "{}").get("id", "none")
        self._call("show", "GET", f"/v2/images/{image}")
        self._call("list 25", "GET", "/v2/images?limit=25")
        self._call("list by name", "GET", "/v2/images?name=image-77777&limit=25")
        self._call("delete", "DELETE", f"/v2/images/{image}")

    def _call(self, kind: str, method: str, path: str, body: bytes | None = None) -> bytes:
        start = time.perf_counter()
        self._connection.request(method, path, body, _JSON)
        response = self._connection.getresponse()
        answer = response.read()
        self.seconds.setdefault(kind, []).append(time.perf_counter() - start)
        self.refused += response.status >= 400
        return answer


if __name__ == "__main__":
    caller = Caller(int(sys.argv[1]))
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        caller.go_round()
    json.dump({"seconds": caller.seconds, "refused": caller.refused}, sys.stdout)
