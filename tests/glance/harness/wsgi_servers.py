"""How each WSGI server is started with Glance in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .environments import Environment

CLOSE = ("--add-header", "Connection: close")
"""uwsgi's --http-socket closes each connection and does not say so: keystoneauth uses it again, and is reset."""


@dataclass(frozen=True)
class Serving:
    """Which server, and how many processes and threads of it."""

    server: str = "uwsgi"
    processes: int = 1
    threads: int = 4


def command(serving: Serving, environment: Environment, port: int) -> list[str]:
    """The command that serves Glance on this port of loopback."""
    return _COMMANDS[serving.server](serving, environment, port)


def _uwsgi(serving: Serving, environment: Environment, port: int) -> list[str]:
    # Glance's own advice (its guide "Running Glance in HTTPD"), and --need-app: a broken pipeline ends the server.
    if environment.has_module("glance/wsgi/api.py"):
        application = ["--module", "glance.wsgi.api:application"]
    else:  # before 31: a script
        application = ["--wsgi-file", environment.program("glance-wsgi-api")]
    return [
        *(environment.program("uwsgi"), "--http-socket", f"127.0.0.1:{port}", "--http-chunked-input", *application),
        *("--processes", str(serving.processes), "--threads", str(serving.threads), "--master", "--enable-threads"),
        *("--lazy-apps", "--need-app", "--die-on-term", "--buffer-size", "65535", *CLOSE),
        *("--socket-timeout", "300"),  # of 4 s: an upload that a test holds up for longer would be given up
    ]


def _gunicorn(serving: Serving, environment: Environment, port: int) -> list[str]:
    """Threads that read the body from the connection themselves, as they do in Apache's mod_wsgi."""
    if environment.has_module("glance/wsgi/api.py"):
        application = "glance.wsgi.api:application"
    else:
        application = "glance.common.wsgi_app:init_app()"
    return [
        *(environment.program("gunicorn"), "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--timeout", "300"),
        *("--workers", str(serving.processes), "--threads", str(serving.threads), "--no-control-socket", application),
    ]


_COMMANDS: dict[str, Callable[[Serving, Environment, int], list[str]]] = {"uwsgi": _uwsgi, "gunicorn": _gunicorn}
