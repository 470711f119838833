"""Open the resources that the operator grants a plugin, before its sandbox is closed."""

from __future__ import annotations

import os
import socket
import stat

from douane.errors import GrantUnavailable, PlanError

from .connect_as import connect_unix
from .model import PluginSpec

CONNECT_SECONDS = 10.0


def open_grant(spec: PluginSpec, name: str) -> tuple[int, str]:
    """Open the grant `name` of `spec`: the descriptor, and ``file`` or ``socket``.

    Its target is ``file:PATH``, ``unix:PATH`` or ``tcp:HOST:PORT``. Raises PlanError for another form and for a file
    that cannot be opened, and GrantUnavailable if the other side does not answer.
    """
    target = spec.grants[name]
    kind, _, address = target.partition(":")
    subject = _subject(spec, name)
    if kind not in ("file", "unix", "tcp") or not address:
        raise PlanError(f"{subject} is written file:PATH, unix:PATH or tcp:HOST:PORT, not {target!r:.100}")
    if kind == "file":
        return _open_file(subject, spec.path(address)), "file"
    return connect_grant(spec, name).detach(), "socket"


def _subject(spec: PluginSpec, name: str) -> str:
    return f"plugin {spec.name!r}: grant {name!r}"


def connect_grant(spec: PluginSpec, name: str) -> socket.socket:
    """Make a connection to the target of the grant `name`, which is not a file. Raises as :func:`open_grant` does."""
    target = spec.grants[name]
    kind, _, address = target.partition(":")
    subject = _subject(spec, name)
    try:
        if kind == "unix":
            peer = connect_unix(spec.path(address), CONNECT_SECONDS, spec.connect_as)
        else:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit():
                raise PlanError(f"{subject} is written tcp:HOST:PORT, not {target!r:.100}")
            peer = socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS)
    except OSError as error:
        raise GrantUnavailable(
            f"{subject}: {target} does not answer ({error.strerror or error}); check that its service runs"
        ) from error
    peer.settimeout(None)  # a plugin expects a blocking socket, and the flag lives in the shared description
    return peer


def _open_file(subject: str, path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise PlanError(f"{subject}: {path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PlanError(f"{subject}: {path} is not a regular file")
    os.set_blocking(fd, True)
    return fd
