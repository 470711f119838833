"""The messages between a door, which receives an upload, and the worker that runs it as it comes.

All workers accept on one Unix socket, so that a door reaches one that is free, or none. The worker speaks first::

    {"state": "ready", "worker": ...}

A door that does not read this line in time closes the connection, and keeps the upload in a file. Else it sends one
request, with the end of a pipe that it fills (SCM_RIGHTS, unix(7))::

    {"do": "run", "task_id": ..., "token": ...}                    + the pipe

The worker claims the task and answers ``{"state": "begun"}``. After the last byte the door closes the pipe and sends
``{"do": "end"}``: a pipe that closes without it was given up by its sender. The last line is the worker's::

    {"state": "done", "outcome": ..., "code": ..., "message": ..., "retry_after": ..., "image_status": ...}

It may come at any time, with the catalog in that state already: the pipe is closed then, and the door has to send no
more. The door's side is `inline.py`, the worker's `worker_side.py`; `Connection` carries the lines.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

MAX_LINE_BYTES = 1 << 20
READY_SECONDS = 0.2
"""How long a door waits for a worker that is free."""

_ADDRESS_BYTES = 100
"""A Unix socket's path has at most 107 bytes (unix(7), sun_path)."""


class Ready(msgspec.Struct, tag_field="state", tag="ready"):
    """The worker is free for one image."""

    worker: str


class RunRequest(msgspec.Struct, tag_field="do", tag="run"):
    """Run the image of a task at the step "receiving"; its bytes come through the pipe that is sent with this line."""

    task_id: str
    token: int


class End(msgspec.Struct, tag_field="do", tag="end"):
    """The pipe has carried the whole image."""


class Begun(msgspec.Struct, tag_field="state", tag="begun"):
    """The worker has claimed the task, and reads the pipe."""


class Done(msgspec.Struct, tag_field="state", tag="done"):
    """The end of the attempt, which the catalog has recorded."""

    outcome: Literal["accepted", "refused", "undecided", "cancelled"]
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    """Seconds."""
    image_status: str | None = None
    """The image's state afterwards, as far as the worker knows it."""
    detail: str | None = None
    """What only the operator may read; `code` and `message` are for the tenant."""


Reply = Begun | Done


@contextlib.contextmanager
def short_path(path: str | Path) -> Iterator[str]:
    """A name of the socket `path` that fits into a Unix address, whatever the length of its folder. Raises OSError."""
    folder, name = os.path.split(os.path.abspath(path))
    if len(os.fsencode(os.path.join(folder, name))) <= _ADDRESS_BYTES:
        yield os.path.join(folder, name)
        return
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
