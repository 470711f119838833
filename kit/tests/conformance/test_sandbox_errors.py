"""The suite names the sandbox as the engine does, and takes no bug in a constructor for a wrong configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PLUGIN = """
import os
from douane_plugin import Inspector
class Rules(Inspector):
    def inspect(self, image):
        open("/etc/shadow")
class Bug(Inspector):
    def __init__(self, rules: int = 1):
        os.path.join(rules)
    def inspect(self, image): ...
"""


def findings(folder: Path, name: str) -> list[dict[str, Any]]:
    (folder / "rules.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "douane.cli.main", "plugin", "test", f"rules.py:{name}", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert ended.returncode == 1, ended.stderr
    listed: list[dict[str, Any]] = json.loads(ended.stdout)["findings"]
    return listed


def test_the_trace_of_a_finding_names_the_sandbox(tmp_path: Path) -> None:
    [finding] = findings(tmp_path, "Rules")
    assert finding["trace"].splitlines()[-1].startswith("The sandbox is the reason: it does not show /etc/shadow")


def test_a_bug_in_a_constructor_is_a_finding(tmp_path: Path) -> None:
    [finding] = findings(tmp_path, "Bug")
    assert finding["code"] == "fails-in-constructor"
