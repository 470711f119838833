"""Failures of plugin processes, and exit statuses in words."""

from __future__ import annotations

import signal

import msgspec

from douane.report import PluginOutcome

KILLED = {
    "SIGKILL": ", which the kernel also does for want of memory",
    "SIGSYS": ", for a system call that the sandbox refuses",
    "SIGXFSZ": ", for writing a file",
}


class Failure(msgspec.Struct, frozen=True):
    """A failure; `message` completes "the check NAME ..." for the tenant, `detail` is for the operator."""

    outcome: PluginOutcome
    code: str
    message: str
    detail: str | None = None


def describe_exit(code: int) -> str:
    """A process's return code in words."""
    if code >= 0:
        return f"it exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"it was killed by signal {-code}"
    return f"it was killed by {name}{KILLED.get(name, '')}"
