"""Processes with a marker in their command line: which exist, and when they are gone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path


def marked(marker: str) -> dict[int, str]:
    """pid and command line of every other process with `marker` in its command line, plain or as hexadecimal digits.

    The sandbox passes the name of the plugin to its launcher in a hexadecimal word.
    """
    plain = marker.encode()
    forms = (plain, plain.hex().encode())
    processes = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (entry / "cmdline").read_bytes()
            if any(form in words for form in forms):
                processes[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")[:200]
    return processes


def gone_within(seconds: float, marker: str) -> dict[int, str]:
    """Wait until no process has `marker`; return the processes that still have it after `seconds`.

    Each process is waited for by its pidfd, then all are listed again: a process may have started another.
    """
    deadline = time.monotonic() + seconds
    while survivors := marked(marker):
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


def end_marked(marker: str) -> None:
    """Kill every process with `marker`: survivors of a test must not stay."""
    for pid in marked(marker):
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                if pid in marked(marker):  # the same process, as its pid cannot be reused while the pidfd is open
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            finally:
                os.close(fd)
