"""What the operator hands a plugin: opened by the engine, before the cage closes."""

from __future__ import annotations

import os
import socket
import stat

from douane.errors import GrantUnavailable, PlanError

from .resolve import under

CONNECT_SECONDS = 10.0


def open_grant(plugin: str, name: str, target: str, base: str) -> tuple[int, str]:
    """Open `target` (``file:PATH``, ``unix:PATH``, ``tcp:HOST:PORT``): the descriptor, and ``file`` or ``socket``.

    Relative paths begin at `base`. Raises PlanError for what is not of that form or not there, and
    GrantUnavailable if nobody answers.
    """
    kind, _, rest = target.partition(":")
    what = f"plugin {plugin!r}: grant {name!r}"
    if kind not in ("file", "unix", "tcp") or not rest:
        raise PlanError(f"{what} is written file:PATH, unix:PATH or tcp:HOST:PORT, not {target!r:.100}")
    if kind == "file":
        return _open_file(what, under(base, rest)), "file"
    try:
        if kind == "unix":
            peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            peer.settimeout(CONNECT_SECONDS)
            peer.connect(under(base, rest))
        else:
            host, _, port = rest.rpartition(":")
            if not host or not port.isdigit():
                raise PlanError(f"{what} is written tcp:HOST:PORT, not {target!r:.100}")
            peer = socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS)
    except OSError as error:
        raise GrantUnavailable(
            f"{what}: {target} does not answer ({error.strerror or error}); see that its service runs"
        ) from error
    peer.settimeout(None)  # a plugin expects a blocking socket, and the flag lives in the shared description
    return peer.detach(), "socket"


def _open_file(what: str, path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise PlanError(f"{what}: {path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PlanError(f"{what}: {path} is not a regular file")
    os.set_blocking(fd, True)
    return fd
