"""What `douane check` imports into the engine's process: each of these takes some ms of a start and is not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = """
import atexit, sys
atexit.register(lambda: print("\\n".join(sys.modules), file=sys.stderr))
from douane.cli.main import run
run()
"""
UNUSED = {
    *("concurrent.futures", "dataclasses", "difflib", "importlib.metadata", "json", "logging", "pathlib", "random"),
    *("shutil", "sqlalchemy", "rich", "tempfile", "tomllib", "traceback", "urllib.parse", "douane_kit"),
}


def test_a_check_imports_what_it_uses(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    words = [sys.executable, "-c", CHECK, "check", str(image)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not set(ended.stderr.split()) & UNUSED
