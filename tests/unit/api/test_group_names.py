"""Whose leases end when a supervisor takes its home: those of this home on this machine, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from douane.api.process import children


def test_a_home_that_is_taken_again_has_the_same_group(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert children.group_of(tmp_path) == children.group_of(tmp_path / "link")


def test_a_machine_of_the_same_name_and_paths_has_another_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = children.group_of(tmp_path)
    (tmp_path / "boot_id").write_text("11111111-2222-4333-8444-555555555555\n")
    monkeypatch.setattr(children, "_BOOT_ID", tmp_path / "boot_id")
    assert children.group_of(tmp_path) != own


def test_another_folder_at_the_same_path_has_another_group(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = children.group_of(home)
    home.rename(tmp_path / "moved")
    home.mkdir()
    assert children.group_of(home) != own
