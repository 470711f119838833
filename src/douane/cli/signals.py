"""SIGINT and SIGTERM: undo what is unfinished, keep what is finished, exit."""

from __future__ import annotations

import signal
from types import FrameType

from douane.interrupts import INTERRUPTS

TERMINATED = 143


def end_on_signals() -> None:
    """Install the handlers."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell ignores SIGINT for its background jobs
        signal.signal(signal.SIGINT, _interrupt)


def ignore_signals() -> None:
    """Ignore both signals from now on, so that the exit code states what happened."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    INTERRUPTS.interrupt(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(TERMINATED))
