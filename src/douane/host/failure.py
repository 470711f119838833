"""Failures of plugin processes, and exit statuses in words."""

from __future__ import annotations

import signal

import msgspec

from douane.report import PluginOutcome

KILLED = {
    "SIGKILL": ", which the kernel also does for want of memory",
    "SIGSYS": ", for a system call of 32-bit (i386) or x32 code. The sandbox is the reason: it runs 64-bit code only, "
    "and no key allows other code; install the 64-bit program",
    "SIGXFSZ": ", for writing a file",
}


_SHELL_SIGNAL = 128
"""A shell exits with this and the number of the signal that killed its command."""


class Failure(msgspec.Struct, frozen=True):
    """A failure; `message` completes "the check NAME ..." for the tenant, `detail` is for the operator."""

    outcome: PluginOutcome
    code: str
    message: str
    detail: str | None = None


def describe_exit(code: int) -> str:
    """A process's return code in words."""
    if code == _SHELL_SIGNAL + signal.SIGSYS:
        return f"it exited with status {code}, as a shell does whose command was killed by SIGSYS{KILLED['SIGSYS']}"
    if code >= 0:
        return f"it exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"it was killed by signal {-code}"
    return f"it was killed by {name}{KILLED.get(name, '')}"
