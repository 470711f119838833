"""`python -m bench machines-chaos --quick`: every kind of fault strikes a small site, and no import is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import SECONDS

pytestmark = pytest.mark.machines

TOP = Path(__file__).resolve().parents[2]


def test_no_import_is_lost_doubled_or_stuck_while_faults_strike(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    words = ["machines-chaos", "--quick", "--seed", "0", "--dir", "/var/tmp", "--json", str(rows)]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=TOP, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr[-20_000:]
    counts = {row["what"].partition(": ")[2]: row["ours"] for row in json.loads(rows.read_text())["rows"]}
    faults = ("images lost", "bytes without an image, and images without bytes", "images stuck", "wrong answers")
    assert {name: counts.get(name) for name in faults} == dict.fromkeys(faults, 0)
