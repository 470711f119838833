"""As much of Keystone as a service needs that checks tokens: it gives itself a token, and asks about those of users."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICE_TOKEN = "the-service-itself"


class KeystoneState:
    """Tokens by their text, and how often Keystone was asked about a token."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.questions = 0


class FakeKeystone:
    """A Keystone on loopback. `add` makes a token."""

    def __init__(self) -> None:
        state = self.state = KeystoneState()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def _answer(self, status: int, document: object, **headers: str) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                for name, value in {
                    "Content-Length": str(len(body)),
                    "Content-Type": "application/json",
                    **headers,
                }.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                if self.path.startswith("/v3/auth/tokens"):
                    state.questions += 1
                    token = state.tokens.get(self.headers["X-Subject-Token"])
                    if token is None:
                        self._answer(404, {"error": {"code": 404, "message": "no such token", "title": "Not Found"}})
                    else:
                        self._answer(200, {"token": token}, X_Subject_Token=self.headers["X-Subject-Token"])
                    return
                link = {"rel": "self", "href": f"http://{self.headers['Host']}/v3/"}
                version = {"id": "v3.14", "status": "stable", "links": [link], "media-types": []}
                if self.path.rstrip("/") == "/v3":
                    self._answer(200, {"version": version})
                else:
                    self._answer(300, {"versions": {"values": [version]}})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                host = self.headers["Host"]
                place = {"region": "r", "region_id": "r", "url": f"http://{host}/v3"}
                endpoints = [{"id": name, "interface": name, **place} for name in ("internal", "admin")]
                catalog = [{"id": "k", "type": "identity", "name": "keystone", "endpoints": endpoints}]
                token = _token("douane", "service", ["service"], catalog)
                self._answer(201, {"token": token}, X_Subject_Token=SERVICE_TOKEN)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def add(self, token: str, user: str, project: str, *roles: str) -> None:
        """Make a token of a user in a project."""
        self.state.tokens[token] = _token(user, project, list(roles), [])

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _token(user: str, project: str, roles: list[str], catalog: list[dict[str, Any]]) -> dict[str, Any]:
    domain = {"id": "default", "name": "Default"}
    return {
        "methods": ["password"],
        "user": {"id": user, "name": user, "domain": domain},
        "project": {"id": project, "name": project, "domain": domain},
        "roles": [{"id": role, "name": role} for role in roles],
        "catalog": catalog,
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": "2999-01-01T00:00:00.000000Z",
        "audit_ids": ["a"],
    }
