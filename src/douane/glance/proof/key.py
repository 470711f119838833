"""The key of the proofs: a file that every Glance host has, and that only Glance's user and root can read."""

from __future__ import annotations

import os
import stat

from douane.errors import PlanError

MIN_BYTES = 32
_MAX_BYTES = 4096


def read_key(path: str) -> bytes:
    """The key in the file `path`. Raises PlanError if it cannot be read, is too short, or is no secret."""
    make = f"make a new one: (umask 077; head -c 32 /dev/urandom > {path}), owned by Glance's user"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # O_NONBLOCK: a pipe would wait for its writer
        with os.fdopen(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            key = file.read(_MAX_BYTES + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise PlanError(f"the key {path} cannot be read: {error.strerror}; {make}") from error
    if not MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise PlanError(f"the key {path} is no file of {MIN_BYTES} to {_MAX_BYTES} bytes; {make}")
    if mode & 0o027:
        raise PlanError(
            f"other users can read or change the key {path}, and could forge proofs: chmod 600 {path}, and {make}"
        )
    return key
