"""The suite gives a plugin the processes and the room for temporary files that its table in the plan has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PLUGIN = """
import multiprocessing, tempfile
from douane_plugin import Inspector
class Pool(Inspector):
    reads = "nothing"
    def inspect(self, image):
        with multiprocessing.Pool(2) as pool:
            pool.map(len, [b"a"])
        with tempfile.TemporaryFile() as file:
            file.seek(80 << 20)  # more than there is without `scratch`
            file.write(b"x")
"""
TABLE = '[[plugin]]\nname = "pool"\nuse = "pool.py:Pool"\nprocesses = 4\nscratch = "128MiB"\n'


def test_processes_and_temporary_files_are_allowed_as_the_plan_says(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(PLUGIN)
    (tmp_path / "plan.toml").write_text(TABLE)
    command = [sys.executable, "-m", "douane.cli.main", "plugin", "test", "--config", "plan.toml", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    failures = [finding["code"] for finding in json.loads(ended.stdout)["findings"] if "fail" in finding["code"]]
    assert failures == [], ended.stdout
