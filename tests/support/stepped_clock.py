"""A clock of the day for some processes, which a test sets; a preloaded library of our own (stepped_clock.c).

libfaketime, whose task this is, breaks Python 3.11: after a step back, `time.sleep` fails with EINVAL, since it
changes the monotonic time until which clock_nanosleep(2) has to sleep.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """The clock of the processes that have its `environment`."""

    def __init__(self, folder: Path, name: str) -> None:
        """Its file is in `folder`, with the library, which a C compiler makes there once."""
        self._library = folder / "stepped_clock.so"
        if not self._library.exists():
            words = ["cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE), "-ldl"]
            subprocess.run(words, check=True, timeout=60)
        self._file = folder / name
        self._file.write_bytes(bytes(8))
        for path in (self._library, self._file):
            path.chmod(0o644)  # a database server is another user

    def set(self, seconds: int) -> None:
        """So many seconds from the machine's clock, at once."""
        descriptor = os.open(self._file, os.O_WRONLY)
        os.pwrite(descriptor, seconds.to_bytes(8, "little", signed=True), 0)
        os.close(descriptor)

    @property
    def environment(self) -> dict[str, str]:
        """To add to that of a process."""
        return {"LD_PRELOAD": str(self._library), "DOUANE_CLOCK": str(self._file)}
