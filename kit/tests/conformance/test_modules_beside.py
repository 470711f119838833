"""The suite shows a plugin the modules beside its file that the plan lists, as the engine does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from planted_plugins import QUICK_DOUANE

PLUGIN = """
from pathlib import Path
from douane_plugin import Inspector, Reject
import helper
class Marker(Inspector):
    def inspect(self, image):
        words = (Path(__file__).parent / "rules" / "words.txt").read_text().split()
        for window in image.windows(1 << 16, overlap=16):
            if helper.has_marker(bytes(window), words):
                raise Reject("marker", "the image holds a marker")
"""
HELPER = """
def has_marker(data, words):
    return b"MARKER-OF-THE-HELPER" in data
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "words.txt").write_text("some words\n")
    (tmp_path / "marker.py").write_text(PLUGIN)
    (tmp_path / "helper.py").write_text(HELPER)
    return tmp_path


def plugin_test(folder: Path, modules: str) -> subprocess.CompletedProcess[str]:
    plan = folder / "plan.toml"
    plan.write_text(f'[[plugin]]\nname = "marker"\nuse = "marker.py:Marker"\n{modules}\n')
    words = ["plugin", "test", "--config", str(plan), "--name", "marker", "--json"]
    return subprocess.run([*QUICK_DOUANE, *words], capture_output=True, text=True, cwd=folder, check=False)


def test_a_constant_of_a_listed_module_is_tried_on_the_plugin(folder: Path) -> None:
    ended = plugin_test(folder, 'modules = ["helper.py", "rules/"]')
    report = json.loads(ended.stdout)
    # Chance does not make these twenty bytes: the suite has read the module, and the plugin has run it.
    assert report["verdicts"]["refused"] > 0, ended.stderr


def test_an_error_names_the_key(folder: Path) -> None:
    ended = plugin_test(folder, "")
    assert ended.returncode == 2
    assert 'set modules = ["helper.py"]' in ended.stderr
