"""The priority of a session."""

from __future__ import annotations

import os
from pathlib import Path


def niceness_of_session(pid: int) -> int:
    """Of the process's session (sched(7), "The autogroup feature"); that of the process if the kernel has none."""
    try:
        text = Path(f"/proc/{pid}/autogroup").read_text()
    except FileNotFoundError:
        return os.getpriority(os.PRIO_PROCESS, pid)
    return int(text.rpartition(" ")[2])


def nicer_by(niceness: int) -> int:
    """Of a process that is nicer than this one; 19 is the most (nice(2))."""
    return min(19, os.getpriority(os.PRIO_PROCESS, 0) + niceness)
