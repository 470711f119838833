"""The socket that a service listens on."""

from __future__ import annotations

import errno
import os
import socket

from douane.errors import PlanError
from douane.imports.settings.values import Address

BACKLOG = 1024


def listen(address: Address) -> socket.socket:
    """A socket that listens at `address`. Raises PlanError."""
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(place[0]), int(place[1])), family=family, backlog=BACKLOG)
    except OSError as error:
        # socket.create_server puts the address into the text of a system's error; names that do not resolve have
        # negative numbers and a text of their own.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        hint = (
            "end the other program, or choose another --listen" if error.errno == errno.EADDRINUSE else "see --listen"
        )
        raise PlanError(f"cannot listen on {address}: {reason}; {hint}") from error


def url_of(listener: socket.socket) -> str:
    """The URL of a service that listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
