"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agent import RunningAgent, StartAgent


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    """Start an agent with a plan and options."""
    agents: list[RunningAgent] = []

    def start(toml: str, *options: str) -> RunningAgent:
        folder = tmp_path / f"agent{len(agents)}"
        folder.mkdir()
        (folder / "douane.toml").write_text(toml)
        agents.append(RunningAgent(folder, options))
        return agents[-1]

    yield start
    for agent in agents:
        if agent.process.poll() is None:
            agent.kill()
