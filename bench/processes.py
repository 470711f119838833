"""Processes that carry a marker in their command line: are there any, and when are they gone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path


def marked(marker: str) -> dict[int, str]:
    """pid and command line of every process that names `marker`, as it is or in hexadecimal digits.

    The sandbox hands its launcher what it is to know, the plugin's name among it, as one hexadecimal word.
    This process does not count.
    """
    plain = marker.encode()
    forms = (plain, plain.hex().encode())
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (entry / "cmdline").read_bytes()
            if any(form in words for form in forms):
                found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")[:200]
    return found


def gone_within(seconds: float, marker: str) -> dict[int, str]:
    """Wait until no process names `marker`; those that still do after `seconds`. They end their own way.

    Each one found is waited for by its pidfd, then all are looked for again: one of them may have started another.
    """
    deadline = time.monotonic() + seconds
    while left := marked(marker):
        if time.monotonic() > deadline:
            return left
        for pid in left:
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
    """Kill every process that names `marker`: what a test found alive must not stay."""
    for pid in marked(marker):
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                if pid in marked(marker):  # still the same process: its number cannot have been given away since
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
            finally:
                os.close(fd)
