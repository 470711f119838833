"""One service a home: two would serve the same images with two plans."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from douane.errors import PlanError


class HomeLock:
    """The claim of a process on a home, which ends with the process."""

    def __init__(self, home: Path) -> None:
        """Take the claim. Raises PlanError if another process has it."""
        self._fd = os.open(home / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 20).decode("ascii", "replace").strip() or "unknown"
            self.close()
            raise PlanError(
                f"another douane serve or worker (process {holder}) runs on the home {home}; end it, or choose "
                "another --home"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the claim up. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
