"""A small HTTP server on loopback, for web-download."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Downloads:
    """Serves the bytes that tests add, at `url(name)`."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._events: dict[str, threading.Event] = {}
        files, events = self._files, self._events

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                data = files.get(self.path.lstrip("/"))
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()

            def do_GET(self) -> None:
                self.do_HEAD()
                data = files.get(self.path.lstrip("/"))
                half = len(data or b"") // 2
                with contextlib.suppress(OSError):  # the client may be killed
                    self.wfile.write((data or b"")[:half])
                    if (event := events.get(self.path.lstrip("/"))) is not None:
                        event.wait(200)
                    self.wfile.write((data or b"")[half:])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop."""
        for name in list(self._events):
            self.release(name)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, name: str, data: bytes) -> str:
        """Serve these bytes under this name, and return their URL."""
        self._files[name] = data
        return self.url(name)

    def url(self, name: str) -> str:
        """The URL of a file of this name, whether it exists or not."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def hold(self, name: str) -> None:
        """Send only the first half of this file, until it is released."""
        self._events[name] = threading.Event()

    def release(self, name: str) -> None:
        """Send the rest of this file."""
        self._events.pop(name).set()
