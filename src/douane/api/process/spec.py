"""What the supervisor tells the processes that it starts: one JSON document on their command line."""

from __future__ import annotations

import msgspec


class DoorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a door serves."""

    name: str
    """Of this very process: the leases of its tasks bear it."""

    home: str
    listen_fd: int
    """The socket, which listens already: no connection is lost while a door starts again."""

    ready_fd: int
    """A pipe; one byte is written when the door answers requests."""

    life_fd: int
    """A pipe that ends when the supervisor is gone."""

    beat_fd: int
    """A pipe for signs of life (`imports/pulse.py`)."""

    url: str
