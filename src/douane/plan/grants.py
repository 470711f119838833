"""Connect the services that the operator grants a plugin, before its sandbox is closed; files are in `path_grants`."""

from __future__ import annotations

import socket

from douane.errors import GrantUnavailable, PlanError

from .connect_as import connect_unix
from .model import PluginSpec

CONNECT_SECONDS = 10.0

KINDS = ("file", "dir", "unix", "tcp")


def connect_grant(spec: PluginSpec, name: str) -> socket.socket:
    """Connect the grant `name` of `spec`, whose target is ``unix:PATH`` or ``tcp:HOST:PORT``.

    Raises PlanError for another form, and GrantUnavailable if the other side does not answer.
    """
    target = spec.grants[name]
    kind, _, address = target.partition(":")
    subject = f"plugin {spec.name!r}: grant {name!r}"
    check_target(subject, target)
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


def check_target(subject: str, target: str) -> None:
    """Raise PlanError unless `target` has a form that a grant may have."""
    kind, _, address = target.partition(":")
    if kind not in KINDS or not address:
        raise PlanError(f"{subject} is written file:PATH, dir:PATH, unix:PATH or tcp:HOST:PORT, not {target!r:.100}")
