"""The kit is a distribution of its own: complete when it is installed, and not needed by who operates Douane."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

KIT = Path(__file__).parents[1]
WITHOUT_KIT = "import sys; sys.modules['douane_kit'] = None; from douane.cli.main import run; run()"


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    words = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(KIT)]
    subprocess.run([sys.executable, "-m", *words], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("douane_kit/")}
    package = KIT / "src" / "douane_kit"
    assert packed == {
        f"douane_kit/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("words", [("new", "my-check"), ("test", "my_check.py:MyCheck")])
def test_without_the_kit_its_commands_say_what_to_install(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_KIT, "plugin", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert "run `pip install ./kit` in a checkout of Douane" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_the_kit_plugins_are_described(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WITHOUT_KIT, "plugin", "describe", "format"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True, check=False).returncode == 0
