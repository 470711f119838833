"""The program on a terminal of its own, as a person has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import termios

from support.processes import SECONDS
from support.program import Program

ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\].*?\x07|[=>78])")


class Terminal:
    """A pseudoterminal, and what was shown on it so far."""

    def __init__(self, columns: int = 160) -> None:
        self.ours, self._theirs = os.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.text = ""

    def start(self, douane: Program, *args: object) -> subprocess.Popen[bytes]:
        """Begin a run whose controlling terminal this is."""
        env = {**douane.env, "TERM": "xterm-256color"}
        try:
            return douane.start(
                *args,
                wrap=("setsid", "--ctty", "--wait"),
                env={name: value for name, value in env.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")},
                stdin=self._theirs,
                stdout=self._theirs,
                stderr=self._theirs,
            )
        finally:
            os.close(self._theirs)

    def read(self) -> str:
        """All until nobody has the terminal open any more."""
        with contextlib.suppress(OSError):  # EIO is how a terminal says that
            while got := os.read(self.ours, 65536):
                self.text += got.decode(errors="replace")
        return self.text

    def press(self, keys: bytes) -> None:
        """Press keys; b"\\x03" is Ctrl-C."""
        os.write(self.ours, keys)


def on_a_terminal(douane: Program, *args: object, columns: int = 160) -> tuple[int, str]:
    """A whole run on a terminal: the exit code, and all that was shown."""
    terminal = Terminal(columns)
    running = terminal.start(douane, *args)
    text = terminal.read()
    os.close(terminal.ours)
    return running.wait(SECONDS), text


def plain(text: str) -> str:
    """What was shown, without what moves the cursor and colours."""
    return ESCAPE.sub("", text).replace("\r", "")
