"""A bwrap that is installed but does not work: the next tier is used if the plan allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DOUANE = Path(sys.executable).parent / "douane"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which bwrap fails."""
    bwrap = tmp_path / "bin" / "bwrap"
    bwrap.parent.mkdir()
    bwrap.write_text("#!/bin/sh\necho 'bwrap: no permission' >&2\nexit 1\n")
    bwrap.chmod(0o755)
    return {**os.environ, "PATH": f"{bwrap.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_the_next_tier_is_used(tmp_path: Path, environment: dict[str, str], command: str) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    words = [DOUANE, command, image]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "strict" in ended.stdout


@pytest.mark.parametrize("options", [["--sandbox", "full"], ["--config", "plan.toml"]], ids=["option", "plan"])
def test_a_required_tier_is_not_lowered(tmp_path: Path, environment: dict[str, str], options: list[str]) -> None:
    (tmp_path / "image").write_bytes(bytes(1 << 20))
    (tmp_path / "plan.toml").write_text('[sandbox]\nminimum = "full"\n[[plugin]]\nname = "format"\nuse = "format"\n')
    words = [DOUANE, "check", "image", *options]
    ended = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert "does not support the sandbox tier full" in ended.stderr
    assert "no permission" in ended.stderr
