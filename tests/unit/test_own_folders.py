"""No plugin is granted the folders in which Douane keeps images and what it knows of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from douane import own_folders
from douane.errors import PlanError
from douane.glance.settings import read_settings
from douane.imports import Home, default_home
from douane.plan.model import PluginSpec
from douane.plan.path_grants import open_path_grant
from douane.stores import open_store


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(own_folders, "_registered", set())
    monkeypatch.setattr(own_folders, "_secrets", set())
    monkeypatch.setenv("DOUANE_HOME", str(tmp_path / "default"))


def is_refused(folder: Path) -> bool:
    spec = PluginSpec(name="p", use="u", grants={"data": f"dir:{folder}"})
    try:
        os.close(open_path_grant(spec, "data").fd)
    except PlanError as error:
        return "Douane's own data" in str(error)
    return False


def make(place: Path, name: str) -> Path:
    folder = place / name / "folder"
    (folder / "deep").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("kind", ["home", "store", "state", "default"])
def test_a_folder_of_douanes_own_is_refused_with_what_is_around_and_in_it(tmp_path: Path, kind: str) -> None:
    folder = make(tmp_path, kind)
    if kind == "home":
        Home(folder).close()
    elif kind == "store":
        open_store(f"file:{folder}")
    elif kind == "state":
        read_settings({"config": "/etc/douane.toml", "state": str(folder)}, {})
    else:
        os.rename(tmp_path / kind, tmp_path / "moved")
        folder = tmp_path / "default"
        os.rename(tmp_path / "moved" / "folder", folder)
    assert [is_refused(each) for each in (folder, folder / "deep", folder.parent)] == [True, True, True]
    assert not is_refused(make(tmp_path, "other"))


def test_a_home_may_be_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path, "home")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOUANE_HOME", "home")
    assert is_refused(folder)


def test_a_user_without_a_home_has_no_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOUANE_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user who is in no list of accounts
    assert own_folders.registered() == ()
    with pytest.raises(PlanError, match="DOUANE_HOME"):
        default_home()


@pytest.mark.parametrize("kind", ["s3", "rbd"])
def test_the_credentials_of_a_store_are_granted_to_no_plugin(tmp_path: Path, kind: str) -> None:
    (tmp_path / "etc" / "rules").mkdir(parents=True)
    secret, plain = tmp_path / "etc" / "secret", tmp_path / "etc" / "plain"
    secret.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    plain.write_text("rules")
    (tmp_path / "link").symlink_to(secret)
    os.link(secret, tmp_path / "name")
    options: dict[str, object] = {"credentials_file": str(secret)} if kind == "s3" else {"keyring": str(secret)}
    open_store("s3://bucket/prefix" if kind == "s3" else "rbd:images", options)

    def refusal(target: str) -> str:
        spec = PluginSpec(name="p", use="u", grants={"data": target})
        try:
            os.close(open_path_grant(spec, "data").fd)
        except PlanError as error:
            return str(error)
        return ""

    for target in (f"file:{secret}", f"file:{tmp_path}/link", f"file:{tmp_path}/name", f"dir:{tmp_path}/etc"):
        assert "has the credentials of a store" in refusal(target), target
    assert [refusal(f"file:{plain}"), refusal(f"dir:{tmp_path}/etc/rules")] == ["", ""]
