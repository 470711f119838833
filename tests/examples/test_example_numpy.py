"""`random_share`, in an interpreter of its own that has numpy and its own copy of the contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from example_plugins import MIB, TIERS, Check, cut, run_plugin
from hypothesis import given, settings
from hypothesis import strategies as st

import douane_plugin

BLOCK = 64 << 10
SHARE = "random_share:RandomShare"


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with numpy, which is taken from where these tests have it, and douane_plugin."""
    folder = tmp_path_factory.mktemp("numpy") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    for path in Path(douane_plugin.__file__).parent.glob("*.py"):  # what the engine needs of it
        (site / "douane_plugin").mkdir(exist_ok=True)
        shutil.copy(path, site / "douane_plugin")
    (site / "numpy.pth").write_text(f"{Path(numpy.__file__).parents[1]}\n")
    return folder / "bin" / "python"


@pytest.mark.parametrize("tier", TIERS)
def test_noise_is_refused_and_an_image_with_some_noise_is_accepted(check: Check, interpreter: Path, tier: str) -> None:
    plan = f'[[plugin]]\nname = "share"\nuse = "plugins/random_share.py:RandomShare"\npython = "{interpreter}"\n'
    text = (b"a program, or a text " * 50_000)[:MIB]
    run = check(os.urandom(2 * MIB) + text + bytes(4 * MIB), plan, tier=tier)
    assert run.answer == ("accepted", None), run.stderr
    assert run.report["properties"] == {"share.blocks": 48, "share.random_blocks": 32}
    run = check(os.urandom(4 * MIB) + bytes(4 * MIB), plan, tier=tier)
    assert run.answer == ("refused", "looks-random")
    assert "64 of 64" in run.report["message"]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4 * BLOCK), max_size=12))
def test_the_answer_does_not_depend_on_cuts(cuts: list[int]) -> None:
    data = os.urandom(2 * BLOCK) + b"text" * (BLOCK // 2) + b"rest"
    result = run_plugin(SHARE, cut(data, cuts))
    assert (result.outcome, result.properties) == ("accepted", {"blocks": 4, "random_blocks": 2})


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff" * (BLOCK - 1), bytes(3 * BLOCK)])
def test_an_image_without_a_full_block_is_accepted(data: bytes) -> None:
    result = run_plugin(SHARE, data)
    assert (result.outcome, result.properties) == ("accepted", {"blocks": 0, "random_blocks": 0})


@pytest.mark.parametrize("max_share", [-0.1, 1.1, 7.0])
def test_a_share_is_from_0_to_1(max_share: float) -> None:
    with pytest.raises(ValueError, match="max_share"):
        run_plugin(SHARE, max_share=max_share)
