"""A real agent, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from douane.agent import Agent

PLUGINS = Path(__file__).with_name("plugins")


@dataclass
class Running:
    """An agent that runs: its process, its socket, its plan's file, what it logs."""

    folder: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.socket = str(self.folder / "agent.sock")
        self.config = self.folder / "douane.toml"
        self.log = self.folder / "agent.log"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers, or has ended."""
        words = [
            sys.executable,
            "-m",
            "douane.cli.main",
            "agent",
            "--socket",
            self.socket,
            "--config",
            str(self.config),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*words, "--sandbox", "strict", *self.options], stderr=log, stdout=log)
        end = time.monotonic() + 60
        while self.process.poll() is None and not self.answers():
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            Agent(self.socket).plan()
        except Exception:
            return False
        return True

    def kill(self) -> None:
        """As a machine that runs out of memory does."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """As a service manager does."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(60)


Start = Callable[..., Running]


def plan(*uses: str, **keys: object) -> str:
    lines = []
    for use in uses:
        lines += ["[[plugin]]", f'name = "{use.lower()}"', f'use = "{PLUGINS}/checks.py:{use}"']
        lines += [f"{key} = {value!r}".replace("'", '"') for key, value in keys.items()]
    return "\n".join(lines)
