"""Fixtures of the agent's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import Running, Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an agent with a plan and options."""
    started: list[Running] = []

    def begin(toml: str, *options: str) -> Running:
        folder = tmp_path / f"agent{len(started)}"
        folder.mkdir()
        (folder / "douane.toml").write_text(toml)
        started.append(Running(folder, options))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.kill()
