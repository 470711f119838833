"""Processes whose parent died: the plugins of a worker that was killed. The supervisor waits for their end.

Without this they are children of process 1, and stay in the table of processes for ever where that one waits for none:
a container that has no init, or whose process 1 is `douane serve` itself.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Become the parent of all processes below this one whose parent dies (PR_SET_CHILD_SUBREAPER(2const))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(own: Collection[int | None]) -> None:
    """Wait for all children that have ended, without waiting for one that has not. `own`: pids that are left alone."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:  # what is behind one of our own is reaped the next time
            return
        os.waitpid(ended.si_pid, 0)
