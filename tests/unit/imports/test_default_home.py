"""The home directory: its default place and its mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.engine import PlanError
from douane.imports import Home, default_home


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"DOUANE_HOME": "/srv/douane", "XDG_DATA_HOME": "/data"}, "/srv/douane"),
        ({"DOUANE_HOME": "", "XDG_DATA_HOME": "/data"}, "/data/douane"),
        ({"XDG_DATA_HOME": "not/absolute"}, "/people/me/.local/share/douane"),
        ({}, "/people/me/.local/share/douane"),
    ],
)
def test_the_default_home(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], expected: str) -> None:
    for name in ("DOUANE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/people/me")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert default_home() == Path(expected)


def test_only_the_owner_can_enter_the_home(tmp_path: Path) -> None:
    Home(tmp_path / "deep" / "home").close()
    assert (tmp_path / "deep" / "home").stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlanError, match=r"home directory .*/file/home cannot be made: Not a directory; choose another"):
        Home(tmp_path / "file" / "home")
