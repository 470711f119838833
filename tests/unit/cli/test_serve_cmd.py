"""`douane serve` without the packages that it needs."""

from __future__ import annotations

import importlib.machinery

import pytest
from click.testing import CliRunner

from douane.cli import serve_cmd
from douane.errors import PlanError


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
        return None if name == "granian" else importlib.machinery.ModuleSpec(name, None)

    monkeypatch.setattr(serve_cmd, "find_spec", find_spec)
    result = CliRunner().invoke(serve_cmd.serve, [])
    assert isinstance(result.exception, PlanError)
    assert "granian" in str(result.exception)
    assert "pip install '.[serve]'" in str(result.exception)
