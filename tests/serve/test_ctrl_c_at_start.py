"""Ctrl-C in a terminal while `douane serve` starts: it ends, says so, and leaves no process."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from support.processes import SECONDS, become_subreaper, lives
from support.waiting import until

INTERRUPTED = b"douane: interrupted; nothing was stored"

SLOW = """
import time
from douane_plugin import Inspector

time.sleep(3600)

class Slow(Inspector):
    def accept(self, image):
        pass
"""


class Terminal:
    """A `douane serve` in the foreground of a terminal of its own."""

    def __init__(self, home: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self._terminal, inner = pty.openpty()
        words = [sys.executable, "-m", "douane", "serve", "--home", str(home), "--listen", "127.0.0.1:0", *options]
        self.process = subprocess.Popen(
            words,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, **(environment or {})},
        )
        os.close(inner)
        self.output = b""

    def children(self) -> list[psutil.Process]:
        """All processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def read_until(self, words: bytes) -> None:
        """Read what it prints until these words."""
        while words not in self.output:
            piece = self._read()
            assert piece, f"it ended: {self.output!r}"
            self.output += piece

    def press_ctrl_c(self) -> int:
        """Press Ctrl-C; the exit code, when all of its output was read."""
        os.write(self._terminal, b"\x03")
        while piece := self._read():
            self.output += piece
        return self.process.wait(SECONDS)

    def _read(self) -> bytes:
        try:
            return os.read(self._terminal, 4096)
        except OSError:  # EIO: nobody has the terminal open any more
            return b""

    def close(self) -> None:
        """Kill what is left of it, if a test fails."""
        if self.process.poll() is None:
            for process in [*self.children(), psutil.Process(self.process.pid)]:
                process.kill()
            self.process.wait(SECONDS)
        os.close(self._terminal)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """A function that starts a service in a terminal."""
    become_subreaper()
    started: list[Terminal] = []

    def start_one(*options: str, environment: dict[str, str] | None = None) -> Terminal:
        started.append(Terminal(tmp_path / "home", *options, environment=environment))
        return started[-1]

    yield start_one
    for terminal in started:
        terminal.close()


def test_while_it_is_imported(start: Callable[..., Terminal], tmp_path: Path) -> None:
    """A module that waits stands for all that are imported."""
    modules = tmp_path / "modules"
    modules.mkdir()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (modules / "prometheus_client.py").write_text(f"open({str(gate)!r}).read()\n")
    terminal = start(environment={"PYTHONPATH": str(modules)})
    with gate.open("wb"):  # opened by both: it is inside of the import
        assert terminal.press_ctrl_c() == 130
    assert INTERRUPTED in terminal.output
    assert b"Traceback" not in terminal.output


def test_while_it_reads_its_configuration(start: Callable[..., Terminal], tmp_path: Path) -> None:
    config = tmp_path / "douane.toml"
    os.mkfifo(config)
    terminal = start("--config", str(config))
    with config.open("wb"):
        assert terminal.press_ctrl_c() == 130
    assert INTERRUPTED in terminal.output
    assert b"Traceback" not in terminal.output


def test_while_a_plugin_is_tried(start: Callable[..., Terminal], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    config = tmp_path / "douane.toml"
    config.write_text(f'[[plugin]]\nname = "slow"\nuse = "{tmp_path}/slow.py:Slow"\nstart = "1h"\n')
    terminal = start("--config", str(config))
    processes = until("the plugin's process has started", terminal.children)
    assert terminal.press_ctrl_c() == 130
    assert INTERRUPTED in terminal.output
    assert b"Traceback" not in terminal.output
    until("the plugin's processes have ended", lambda: not any(map(lives, processes)))


def test_while_the_door_and_the_workers_start(start: Callable[..., Terminal]) -> None:
    """It serves already, so it ends as a service that is asked to end."""
    terminal = start()
    terminal.read_until(b"the door started as process")
    processes = until("a process has started", terminal.children)
    assert terminal.press_ctrl_c() == 0
    assert b"Traceback" not in terminal.output
    assert b"ended" in terminal.output.splitlines()[-1]
    until("its processes have ended", lambda: not any(map(lives, processes)))


def test_a_service_in_the_background_of_a_shell_ignores_it(start: Callable[..., Terminal], tmp_path: Path) -> None:
    """A shell without job control starts background jobs so, and Ctrl-C is for the foreground."""
    config = tmp_path / "douane.toml"
    os.mkfifo(config)
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminal = start("--config", str(config))
    finally:
        signal.signal(signal.SIGINT, previous)
    with config.open("wb") as writer:
        terminal.process.send_signal(signal.SIGINT)
        writer.write(b"[serve]\nnonsense = 1\n")
    terminal.read_until(b"'nonsense' is not a setting")
    assert terminal.process.wait(SECONDS) == 2
