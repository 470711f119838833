"""SIGINT and SIGTERM: what is under way is undone on the way out; what is done is not taken back."""

from __future__ import annotations

import signal
from types import FrameType

from douane.interrupts import INTERRUPTS

TERMINATED = 143


def end_on_signals() -> None:
    """From now on they end what is under way."""
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell has it ignored in the background
        signal.signal(signal.SIGINT, _end)


def all_is_done() -> None:
    """They come too late now: the exit code shall say what happened."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(number: int, _frame: FrameType | None) -> None:
    INTERRUPTS.interrupt(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(TERMINATED))
