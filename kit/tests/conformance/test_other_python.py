"""A plugin with an interpreter of its own, which may be older than the suite's."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.engine import PlanError
from support.contract.other_pythons import build, environment, pythons


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """The interpreter of a virtual environment of the oldest Python here, with the contract in it."""
    oldest = next(iter(pythons().values()))
    return environment(oldest, build(tmp_path, later=False), tmp_path / "venv")


def test_the_driver_runs_on_the_plugins_python(conform, interpreter):
    report = conform("faulty_heads.py:FirstByte", python=str(interpreter), effort=0.05)
    assert "fails-on-empty" in [finding.code for finding in report.findings]


def test_another_release_of_the_contract_is_reported(conform, interpreter):
    (local,) = interpreter.parents[1].glob("lib/python3.*/site-packages/douane_plugin/_local.py")
    local.unlink()
    with pytest.raises(PlanError, match=r"needs the release of douane-plugin that Douane itself has"):
        conform("faulty_heads.py:FirstByte", python=str(interpreter))
