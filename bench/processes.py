"""The processes below this one, also those whose parents have died: which exist, and when they are gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of each descendant whose own parent dies (PR_SET_CHILD_SUBREAPER, prctl(2)). Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def descendants() -> dict[int, str]:
    """pid and command line of every process below this one; ended processes are reaped unless their parent lives."""
    processes: dict[int, str] = {}
    pids = _children(os.getpid())
    for pid in pids:
        pids += _children(pid)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if words or not _reap(pid):
                processes[pid] = words.replace(b"\0", b" ").decode(errors="replace")[:200]
    return processes


def gone_within(seconds: float) -> dict[int, str]:
    """Wait until there are no descendants; return those that still exist after `seconds`.

    Each process is waited for by its pidfd, then all are listed again: a process may have started another.
    """
    deadline = time.monotonic() + seconds
    while survivors := descendants():
        if time.monotonic() > deadline:
            return survivors
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                try:
                    watch = select.poll()
                    watch.register(fd, select.POLLIN)
                    watch.poll(max(0, (deadline - time.monotonic()) * 1000))
                finally:
                    os.close(fd)
    return {}


def end_descendants() -> None:
    """Kill every descendant: survivors of a round must not stay."""
    for pid in descendants():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # its pid is not reused before this process, its parent, reaps it


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (task / "children").read_text().split()]
    return children


def _reap(pid: int) -> bool:
    """Reap an ended child; False if `pid` is not a child, or has not ended."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False
