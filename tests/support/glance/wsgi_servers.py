"""How each WSGI server starts with Glance in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .environments import Environment

CLOSE = ("--add-header", "Connection: close")
"""uwsgi's --http-socket closes each connection without saying so: keystoneauth would use it again, and be reset."""

_APACHE_MODULES = Path("/usr/lib/apache2/modules")
"""Of Debian's package apache2-bin."""


@dataclass(frozen=True)
class Serving:
    """A server, and the numbers of its processes and threads."""

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
        *("--socket-timeout", "300"),  # by default 4 s: an upload that a test delays for longer would be given up
    ]


def _gunicorn(serving: Serving, environment: Environment, port: int) -> list[str]:
    """gunicorn with threads, which read the body from the connection."""
    if environment.has_module("glance/wsgi/api.py"):
        application = "glance.wsgi.api:application"
    else:
        application = "glance.common.wsgi_app:init_app()"
    return [
        *(environment.program("gunicorn"), "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--timeout", "300"),
        *("--workers", str(serving.processes), "--threads", str(serving.threads), "--no-control-socket", application),
    ]


def _mod_wsgi(serving: Serving, environment: Environment, port: int) -> list[str]:
    """Apache, as in Glance's guide "Running Glance in HTTPD". mod_wsgi does not run as root: the user is the first of a
    user namespace, so that the files still belong to this user."""
    (script,) = environment.path.glob("lib/python3*/site-packages/glance/wsgi/api.py")
    (wsgi,) = Environment("mod-wsgi").path.glob("lib/python3*/site-packages/mod_wsgi/server/mod_wsgi-*.so")
    directives = [
        *(f"LoadModule {name}_module {_APACHE_MODULES}/mod_{name}.so" for name in ("mpm_event", "authz_core")),
        f"LoadModule wsgi_module {wsgi}",
        *("ServerName localhost", f"Listen 127.0.0.1:{port}", "ErrorLog /dev/stderr", "Timeout 300"),
        # Paths of sockets are short (unix(7)), pytest's folders are not.
        *("DefaultRuntimeDir ${HOME}", "PidFile ${HOME}/apache.pid", f"WSGISocketPrefix /tmp/glance-{port}"),
        f"WSGIDaemonProcess glance processes={serving.processes} threads={serving.threads} "
        f"python-home={environment.path}",
        *("WSGIProcessGroup glance", "WSGIApplicationGroup %{GLOBAL}", f"WSGIScriptAlias / {script}"),
        *("WSGIPassAuthorization On", "WSGIChunkedRequest On"),
    ]
    user = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
    return [
        *(*user, "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", "/dev/null"),
        *(word for directive in directives for word in ("-C", directive)),
    ]


def _eventlet(serving: Serving, environment: Environment, port: int) -> list[str]:
    """Glance's own server, of before 32. Its port and its workers are in its configuration: `eventlet_options`."""
    return [environment.program("glance-api")]


def eventlet_options(serving: Serving, port: int) -> dict[str, str]:
    """Options of glance-api.conf, in the section DEFAULT; none for other servers."""
    if serving.server != "eventlet":
        return {}
    return {"bind_host": "127.0.0.1", "bind_port": str(port), "workers": str(serving.processes)}


_COMMANDS: dict[str, Callable[[Serving, Environment, int], list[str]]] = {
    "uwsgi": _uwsgi,
    "gunicorn": _gunicorn,
    "mod_wsgi": _mod_wsgi,
    "eventlet": _eventlet,
}
