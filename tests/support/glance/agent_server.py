"""A real `douane agent`, in the environment of the Glance that uses it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from douane.agent import Agent
from douane.errors import DouaneError

from .environments import Environment
from .processes import ServerProcess


class AgentServer:
    """An agent; `config` is its plan."""

    def __init__(self, version: str, config: Path, *options: str) -> None:
        # Not pytest's folder: a Unix socket's path has at most 107 bytes (unix(7)).
        self._folder = Path(tempfile.mkdtemp(prefix="douane-agent-"))
        self.socket = str(self._folder / "agent.sock")
        program = Environment(version).program("douane")
        argv = [program, "agent", "--socket", self.socket, "--config", str(config), *options]
        env = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "LC_ALL": "C.UTF-8"}
        self.process = ServerProcess(argv, self._folder / "agent.log", env)

    def start(self) -> None:
        """Start or restart it, and return when it answers. Raises DidNotStart."""
        self.process.start(self._is_ready)

    def close(self) -> None:
        """Stop it, and remove its folder."""
        self.process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def log(self) -> str:
        """Its log, including earlier starts."""
        return self.process.tail(10_000_000)

    def _is_ready(self) -> bool:
        try:
            Agent(self.socket).plan()
        except DouaneError:
            return False
        return True
