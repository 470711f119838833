"""``check``: an image through the program, with example plugins in their cages."""

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
    """``program(words...)`` runs `douane` in the folder examples, with nothing of the user's around it."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOUANE_", "XDG_"))}
    env |= {"DOUANE_HOME": str(tmp_path / "home"), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}

    def go(*words: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [Path(sys.executable).parent / "douane", *map(str, words)],
            cwd=EXAMPLES,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=110,
        )
        assert list(temporary.iterdir()) == []
        return done

    return go


@pytest.fixture
def check(tmp_path: Path, program: Callable[..., subprocess.CompletedProcess[str]]) -> Check:
    """``check(image, plan, more words...)``: the image's bytes, or a file, through a plan in TOML."""

    def go(image: bytes | Path, plan: str, *words: object, tier: str = "strict") -> Run:
        path, config = tmp_path / "image", tmp_path / "plan.toml"
        if isinstance(image, Path):
            path = image
        else:
            path.write_bytes(image)
        config.write_text(plan.replace("plugins/", f"{EXAMPLES}/plugins/"))
        done = program("check", path, "--config", config, "--json", "--verbose", "--sandbox", tier, *words)
        report = json.loads(done.stdout)
        assert isinstance(report, dict)
        return Run(done.returncode, report, done.stderr)

    return go
