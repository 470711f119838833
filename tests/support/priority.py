"""The priority of a session."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def niceness_of_session(pid: int) -> int:
    """Of the process's session (sched(7), "The autogroup feature"); that of the process if the kernel has none, or has
    put the process into none: the file is empty then."""
    with contextlib.suppress(FileNotFoundError):
        text = Path(f"/proc/{pid}/autogroup").read_text()
        if text:
            return int(text.rpartition(" ")[2])
    return os.getpriority(os.PRIO_PROCESS, pid)


def nicer_by(niceness: int) -> int:
    """Of a process that is nicer than this one; 19 is the most (nice(2))."""
    return min(19, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
