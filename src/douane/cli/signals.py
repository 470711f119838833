"""SIGINT and SIGTERM: undo what is unfinished, keep what is finished, exit."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

from douane.interrupts import INTERRUPTS

TERMINATED = 143
AGAIN_SECONDS = 0.005
"""After this time, the finalizer that swallowed an interrupt has probably ended; if not, it is swallowed and raised
once more."""


def end_on_signals() -> None:
    """Install the handlers."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell ignores SIGINT for its background jobs
        signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = _raise_again


def ignore_signals() -> None:
    """Ignore both signals from now on, so that the exit code states what happened."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    INTERRUPTS.interrupt(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(TERMINATED))


def _raise_again(event: sys.UnraisableHookArgs) -> None:
    """An interrupt that fell into a finalizer, such as that of the import system's locks, is swallowed there, and the
    program would go on. Only this function hears of it."""
    if not issubclass(event.exc_type, KeyboardInterrupt | SystemExit) or not _is_main():
        sys.__unraisablehook__(event)
        return
    number = signal.SIGINT if issubclass(event.exc_type, KeyboardInterrupt) else signal.SIGTERM
    signal.signal(signal.SIGALRM, lambda _number, frame: _interrupt(number, frame))
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
