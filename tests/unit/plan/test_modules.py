"""Modules beside a plugin's file: which entries of `modules` are refused, and what the digest of the code covers."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from douane.errors import PlanError
from douane.plan import modules
from douane.plan.code import SourceFile, find_code
from douane.plan.model import PluginSpec
from douane.plan.parse import parse_plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the plugin `av.py`, with the module `helper`, the package `rules` and data."""
    place = tmp_path / "checks"
    (place / "rules" / "deep").mkdir(parents=True)
    (place / "av.py").write_text("class AV: ...\n")
    (place / "helper.py").write_text("answer = 42\n")
    (place / "rules" / "engine.py").write_text("rules = 1\n")
    (place / "rules" / "deep" / "site.yar").write_text("rule a {}\n")
    (place / "words.txt").write_text("words\n")
    return place


def code(folder: Path, *entries: str):
    return find_code(PluginSpec(name="av", use=f"{folder}/av.py:AV", modules=entries), ())


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("entry", "make", "sentence"),
    [
        ("../other.py", lambda folder: None, "not '../other.py'"),
        ("..", lambda folder: None, "not '..'"),
        ("./", lambda folder: None, "beside the plugin's own file, such as helper.py or rules/"),
        ("", lambda folder: None, "not ''"),
        ("/etc/passwd", lambda folder: None, "not '/etc/passwd'"),
        ("rules/engine.py", lambda folder: None, "not 'rules/engine.py'"),
        ("__pycache__", lambda folder: None, "not '__pycache__'"),
        ("av.py", lambda folder: None, "the plugin's own file"),
        ("gone.py", lambda folder: None, "gone.py, which cannot be read: No such file"),
        ("link.py", lambda folder: (folder / "link.py").symlink_to("helper.py"), "link.py, which is a link or a spec"),
        ("link", lambda folder: (folder / "link").symlink_to("/etc"), "link, which is a link or a special file"),
        ("rules/", lambda folder: (folder / "rules/x").symlink_to("/etc"), "rules/x, which is a link or a special"),
        ("rules/", lambda folder: (folder / "rules/deep/y").symlink_to("site.yar"), "deep/y, which is a link"),
        ("rules/", lambda folder: os.mkfifo(folder / "rules/pipe"), "rules/pipe, which is a link or a special file"),
        ("pipe.py", lambda folder: os.mkfifo(folder / "pipe.py"), "pipe.py, which is a link or a special file"),
        ("rules/", lambda folder: make_socket(folder / "rules/s"), "rules/s, which is a link or a special file"),
        ("json.py", lambda folder: (folder / "json.py").touch(), "hide the module 'json' that Python itself imports"),
        ("douane_plugin/", lambda folder: make_package(folder / "douane_plugin"), "hide the module 'douane_plugin'"),
        ("rules.py", lambda folder: (folder / "rules.py").touch(), "two modules named 'rules'"),
        ("latin.py", lambda folder: (folder / "latin.py").write_bytes(b"# \xe4"), "latin.py is not UTF-8 text"),
    ],
)
def test_an_entry_that_cannot_be_shown_is_refused(folder: Path, entry: str, make: Callable, sentence: str) -> None:
    make(folder)
    with pytest.raises(PlanError, match="plugin 'av': ") as error:
        code(folder, "rules", entry) if entry == "rules.py" else code(folder, entry)
    assert sentence in str(error.value)


def make_package(folder: Path) -> None:
    folder.mkdir()
    (folder / "__init__.py").touch()


def test_files_that_are_too_many_or_too_large_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "MAX_FILES", 2)
    code(folder, "rules/")
    with pytest.raises(PlanError, match="more than 2 files"):
        code(folder, "rules/", "helper.py")
    (folder / "rules/deep/large").write_bytes(b"")
    os.truncate(folder / "rules/deep/large", modules.MAX_BYTES)
    with pytest.raises(PlanError, match="more than 64 MiB"):
        monkeypatch.setattr(modules, "MAX_FILES", 10)
        code(folder, "rules/")


CHANGES = {
    "plugin": lambda folder: (folder / "av.py").write_text("class AV: pass\n"),
    "module": lambda folder: (folder / "helper.py").write_text("answer = 43\n"),
    "package": lambda folder: (folder / "rules/engine.py").write_text("rules = 2\n"),
    "data": lambda folder: (folder / "rules/deep/site.yar").write_text("rule b {}\n"),
    "name": lambda folder: (folder / "rules/engine.py").rename(folder / "rules/motor.py"),
    "new file": lambda folder: (folder / "rules/more.bin").write_bytes(b""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_covers_every_file_that_is_listed(folder: Path, change: str) -> None:
    before = code(folder, "helper.py", "rules/").code_sha256
    assert before == code(folder, "rules", "helper.py").code_sha256
    CHANGES[change](folder)
    assert code(folder, "helper.py", "rules/").code_sha256 != before


def test_the_digest_covers_nothing_else(folder: Path) -> None:
    before = code(folder, "helper.py", "rules/").code_sha256
    (folder / "words.txt").write_text("other words\n")
    (folder / "rules/__pycache__").mkdir()
    (folder / "rules/__pycache__/engine.cpython-311.pyc").write_bytes(b"anything")
    assert code(folder, "helper.py", "rules/").code_sha256 == before
    assert len({before, code(folder, "helper.py").code_sha256, code(folder).code_sha256}) == 3


def test_only_code_becomes_a_module(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "x.yar").touch()
    target = code(folder, "helper.py", "rules/", "words.txt", "data/").target
    assert isinstance(target, SourceFile)
    assert target.modules == {"helper": f"{folder}/helper.py", "rules": f"{folder}/rules/"}
    assert set(target.sources) == {f"{folder}/helper.py", f"{folder}/rules/engine.py"}


def test_the_folder_is_the_real_one_where_a_path_goes_up(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder / "rules" / "deep")
    use = f"{tmp_path}/link/../../av.py:AV"
    plugin = find_code(PluginSpec(name="av", use=use, modules=("helper.py",)), ())
    assert plugin.read == (f"{folder}/helper.py",)


@pytest.mark.parametrize("use", ["format", "json:JSONDecoder", "exec:/bin/cat", "wire:/bin/cat"])
def test_modules_are_for_a_class_in_a_file(use: str) -> None:
    table = {"plugin": [{"name": "p", "use": use, "modules": ["helper.py"]}]}
    [plugin] = parse_plan(table, where="the plan", base="/").plugins
    with pytest.raises(PlanError, match="'modules' lists what is beside a plugin in a file"):
        find_code(plugin, tuple(os.path.dirname(path) for path in (os.__file__,)))
