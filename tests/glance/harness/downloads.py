"""A small HTTP server on loopback: what web-download fetches."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Downloads:
    """Serves the bytes that tests put into it; `url(name)` is where."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._held: dict[str, threading.Event] = {}
        files, held = self._files, self._held

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
                with contextlib.suppress(OSError):  # whoever fetches may be killed
                    self.wfile.write((data or b"")[:half])
                    if (event := held.get(self.path.lstrip("/"))) is not None:
                        event.wait(200)
                    self.wfile.write((data or b"")[half:])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        for name in list(self._held):
            self.release(name)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, name: str, data: bytes) -> str:
        """Serve these bytes under this name; their URL."""
        self._files[name] = data
        return self.url(name)

    def url(self, name: str) -> str:
        """Where what has this name is, or would be."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def hold(self, name: str) -> None:
        """Of this one only the first half is sent, until it is released."""
        self._held[name] = threading.Event()

    def release(self, name: str) -> None:
        """Send the rest of it."""
        self._held.pop(name).set()
