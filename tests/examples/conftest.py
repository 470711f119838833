"""The fixture ``check``: an image through `douane check`, with example plugins in their sandboxes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from example_plugins import EXAMPLES, Check, Run


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `douane` in the folder examples, without the user's own settings."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOUANE_", "XDG_"))}
    env |= {"DOUANE_HOME": str(tmp_path / "home"), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [Path(sys.executable).parent / "douane", *map(str, words)],
            cwd=EXAMPLES,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=600,
        )
        assert list(temporary.iterdir()) == []
        return ended

    return run


@pytest.fixture
def check(tmp_path: Path, program: Callable[..., subprocess.CompletedProcess[str]]) -> Check:
    """Return a function that checks an image (bytes, or a file) by a plan in TOML: ``check(image, plan, words...)``."""

    def run(image: bytes | Path, plan: str, *words: object, tier: str = "strict") -> Run:
        path, config = tmp_path / "image", tmp_path / "plan.toml"
        if isinstance(image, Path):
            path = image
        else:
            path.write_bytes(image)
        config.write_text(plan.replace("plugins/", f"{EXAMPLES}/plugins/"))
        ended = program("check", path, "--config", config, "--json", "--verbose", "--sandbox", tier, *words)
        report = json.loads(ended.stdout)
        assert isinstance(report, dict)
        return Run(ended.returncode, report, ended.stderr)

    return run
