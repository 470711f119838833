"""Standard output and standard error of a plugin's process, which become lines of the log."""

from __future__ import annotations

import os
import sys


def flush_streams() -> None:
    """Write out what the plugin has printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads the stream any more


def reopen_streams() -> None:
    """Make `sys.stdout` and `sys.stderr` anew, over descriptors 1 and 2.

    The descriptors may have been replaced since the interpreter started. A text stream that believes its pipe to be a
    seekable file fails at its first flush (ESPIPE).
    """
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
