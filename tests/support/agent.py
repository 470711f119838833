"""An agent as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from douane.agent import Agent
from douane.errors import DouaneError

from .waiting import until

PLUGINS = Path(__file__).parents[1] / "caged" / "agent" / "plugins" / "checks.py"


@dataclass
class RunningAgent:
    """A running agent in `folder`: its process, its socket, the file of its plan, its log."""

    folder: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.socket = str(self.folder / "agent.sock")
        self.config = self.folder / "douane.toml"
        self.log = self.folder / "agent.log"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers or has ended."""
        command = [sys.executable, "-m", "douane.cli.main", "agent", "--socket", self.socket]
        command += ["--config", str(self.config), "--sandbox", "strict", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        until("the agent answers or ends", lambda: self.process.poll() is not None or self.answers())

    def answers(self) -> bool:
        """True if it says which plan it serves."""
        try:
            Agent(self.socket).plan()
        except DouaneError:
            return False
        return True

    def kill(self) -> None:
        """Kill it, as a host does that runs out of memory."""
        self.process.kill()
        self.process.wait()


StartAgent = Callable[..., RunningAgent]
"""Starts an agent with a plan (TOML) and options."""


def plan(*uses: str, **settings: object) -> str:
    """A plan of these plugins of the file ``checks.py``, each with the same `settings`."""
    lines = []
    for use in uses:
        lines += ["[[plugin]]", f'name = "{use.lower()}"', f'use = "{PLUGINS}:{use}"']
        lines += [f"{key} = {value!r}".replace("'", '"') for key, value in settings.items()]
    return "\n".join(lines)
