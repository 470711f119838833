"""How a process ended, in words."""

from __future__ import annotations

import signal


def how_it_ended(code: int) -> str:
    """A return code in words."""
    if code >= 0:
        return f"it exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"it was killed by signal {-code}"
    reasons = {
        "SIGKILL": ", which the kernel also does for want of memory",
        "SIGSYS": ", for a system call that the sandbox refuses",
        "SIGXFSZ": ", for writing a file",
    }
    return f"it was killed by {name}{reasons.get(name, '')}"
