"""The files that `douane plugin new` writes work as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from planted_plugins import QUICK_DOUANE

from douane_plugin.testing import guest_image

ALL = os.environ.get("DOUANE_TESTS") == "all"
"""`make test` runs the suite on two of the new plugins, and `make test-all` on all."""

KINDS = {
    "stream": [],
    "head": ["--reads", "head:512"],
    "long-head": ["--reads", "head:4096"],
    "short-head": ["--reads", "head:64"],
    "one-byte": ["--reads", "head:1"],
    "random": ["--reads", "random"],
    "guest": ["--reads", "guest"],
    "guest-findings": ["--reads", "guest+findings"],
    "files": ["--reads", "files"],
    "nothing": ["--reads", "nothing"],
    "findings": ["--reads", "findings"],
    "transform": ["--transform"],
    "sh": ["--exec", "sh"],
    "c": ["--exec", "c"],
}


def douane(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "douane.cli.main", *words], cwd=cwd, capture_output=True, text=True, check=False
    )


def new_folder(tmp_path: Path, kind: str) -> Path:
    ended = douane("plugin", "new", f"my-{kind}", *KINDS[kind], cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / f"my-{kind}"
    written = {tmp_path / line for line in ended.stdout.splitlines()}
    assert written == set(folder.iterdir())
    if kind == "c":
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "my-c", "my_c.c"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_the_new_tests_pass_and_none_is_skipped(tmp_path: Path, kind: str) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    ended = subprocess.run(words, cwd=new_folder(tmp_path, kind), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "skipped" not in ended.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_new_configuration_checks_an_image(tmp_path: Path, kind: str) -> None:
    folder = new_folder(tmp_path, kind)
    image = tmp_path / "image.raw"
    looks_into_guest = kind in ("guest", "guest-findings", "files")
    disk = guest_image({"/a": ""}) if looks_into_guest else bytes(510) + b"\x55\xaa" + bytes(1 << 20)
    image.write_bytes(disk)
    words = ("check", str(image), "--config", "douane.toml", "--property", "contact=ops", "--json")
    ended = douane(*words, cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"my-{kind}" in [verdict["plugin"] for verdict in json.loads(ended.stdout)["verdicts"]]


def test_the_new_code_passes_ruff_and_mypy(tmp_path: Path) -> None:
    """All kinds by one mypy: most of its time goes into what they all import."""
    folders = [new_folder(tmp_path, kind) for kind in KINDS]
    files = [str(path) for folder in folders for path in folder.glob("*.py")]
    assert len(files) == 2 * len(KINDS) - 2, "a plugin and its tests, and of the two programs the tests"
    for folder in folders:
        check("ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,W,I,B,UP", ".", cwd=folder)
        check("ruff", "format", "--isolated", "--line-length", "120", "--check", ".", cwd=folder)
    check("mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), *files, cwd=tmp_path)


def check(*words: str, cwd: Path) -> None:
    ended = subprocess.run([sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("kind", ["stream", "c", *(["short-head", "transform", "sh"] if ALL else [])])
def test_the_conformance_suite_accepts_the_new_plugin(tmp_path: Path, kind: str) -> None:
    folder = new_folder(tmp_path, kind)
    cls = "".join(part.capitalize() for part in f"my-{kind}".split("-"))
    programs = {"sh": "exec:./my-sh.sh", "c": "exec:./my-c"}
    use = programs.get(kind, f"my_{kind.replace('-', '_')}.py:{cls}")
    words = [*QUICK_DOUANE, "plugin", "test", use]
    ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_new_plugin_is_described(tmp_path: Path, kind: str) -> None:
    folder = new_folder(tmp_path, kind)
    ended = douane("plugin", "describe", "--config", "douane.toml", "--name", f"my-{kind}", "--json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    description = json.loads(ended.stdout)
    if kind in ("sh", "c"):
        assert description["kind"] == "program"
        return
    options = KINDS[kind]
    assert description["reads"] == (options[1] if options[:1] == ["--reads"] else "stream")
    assert description["kind"] == ("transform" if kind == "transform" else "inspector")
    assert all(f"``{parameter['name']}``" in description["doc"] for parameter in description["parameters"])
    assert not any(parameter["required"] for parameter in description["parameters"])  # the commands of its README run


def test_a_failed_write_leaves_no_folder(tmp_path: Path) -> None:
    script = f'ulimit -f 0; exec "{sys.executable}" -m douane.cli.main plugin new my-stream'
    ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, "my-stream cannot be written" in ended.stderr) == (2, True), ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["Capital"],
        ["two--hyphens"],
        ["-leading"],
        ["x" * 49],
        ["../elsewhere"],
        ["class"],
        ["test-it"],
        ["zipfile"],
        ["packaging"],
        ["inspector"],
        ["format"],
        ["any"],
        ["good", "--reads", "head:0"],
        ["good", "--reads", "tail:5"],
        ["good", "--transform", "--reads", "head:512"],
        ["good", "--exec", "sh", "--transform"],
    ],
)
def test_invalid_arguments_are_refused_and_nothing_is_written(tmp_path: Path, words: list[str]) -> None:
    ended = douane("plugin", "new", *(["--"] if words[0].startswith("-") else []), *words, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(("douane: ", "Usage:"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    folder = new_folder(tmp_path, "stream")
    contents = {path: path.read_bytes() for path in folder.iterdir()}
    ended = douane("plugin", "new", "my-stream", cwd=tmp_path)
    assert ended.returncode == 2
    assert "my-stream" in ended.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == contents
