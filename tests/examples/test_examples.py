"""All examples are complete, begin with the lines that use them, and need only the contract."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from example_plugins import EXAMPLES, MIB, PLUGINS, synopsis

FILES = sorted(path for path in PLUGINS.iterdir() if path.suffix in (".py", ".sh", ".c"))
PYTHON = [path for path in FILES if path.suffix == ".py"]
LIBRARIES = {"numpy"}
"""Libraries that a plugin may need; it then has an interpreter of its own."""

Run = Callable[..., subprocess.CompletedProcess[str]]


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_begins_with_the_lines_that_use_it(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert any("Synopsis" in line for line in lines[:3])
    [plugin] = tomllib.loads(synopsis(path))["plugin"]
    file = plugin["use"].removeprefix("exec:").split()[0].partition(":")[0]
    assert file == f"plugins/{path.name if path.suffix != '.c' else path.stem}"
    assert sum("Shows " in line for line in lines[:25]) == 1


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix != ".c"], ids=name_of)
def test_the_lines_are_a_valid_plan(path: Path, program: Run, tmp_path: Path) -> None:
    """The lines are unchanged, except for the interpreter with numpy, the socket of a daemon, and a database."""
    text = synopsis(path).replace("plugins/", f"{PLUGINS}/").replace("file:rules/", f"file:{EXAMPLES}/rules/")
    text = text.replace("/opt/douane/numpy/bin/python", sys.executable).replace(
        "/var/lib/clamav", str(EXAMPLES / "rules")
    )
    plan = tmp_path / "plan.toml"
    # A short path: a socket's has 107 characters at most (unix(7)).
    with socket.socket(socket.AF_UNIX) as daemon, TemporaryDirectory(dir="/tmp") as folder:
        daemon.bind(f"{folder}/clamd")
        daemon.listen()
        plan.write_text(text.replace("/run/clamav/clamd.ctl", f"{folder}/clamd"))
        ended = program("plan", "--config", plan, "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)["plugins"][0]  # Douane adds a `format` behind a transform
    if path.suffix == ".py":
        assert report["doc"]


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_a_plugin_imports_only_the_contract_and_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {
        name.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    names |= {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names - set(sys.stdlib_module_names) - {"douane_plugin"} <= LIBRARIES
    assert not any(
        isinstance(node, ast.Attribute) and node.attr.startswith("_") and getattr(node.value, "id", "self") != "self"
        for node in ast.walk(tree)
    )


def test_the_table_lists_every_file() -> None:
    table = (PLUGINS / "README.md").read_text()
    assert re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", table, re.MULTILINE) != []
    listed = set(re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", table, re.MULTILINE))
    assert listed == {path.name for path in FILES}


def test_every_example_has_tests() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_example_*.py"))
    assert [path.name for path in FILES if path.name not in tests] == []


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "debian.raw"
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(3 * MIB))
    return path


def test_the_plan_of_all_examples_is_valid(program: Run) -> None:
    ended = program("plan", "--config", "douane.toml", "--json")
    assert ended.returncode == 0, ended.stderr
    written = tomllib.loads((EXAMPLES / "douane.toml").read_text())
    report = json.loads(ended.stdout)
    assert [plugin["name"] for plugin in report["plugins"]] == [plugin["name"] for plugin in written["plugin"]]
    assert len(report["plugins"]) >= 8


def test_the_plan_of_all_examples_accepts_a_disk_and_refuses_others(program: Run, image: Path) -> None:
    ended = program("check", image, "--config", "douane.toml", "--json")
    report = json.loads(ended.stdout)
    assert (ended.returncode, report["outcome"]) == (0, "accepted"), ended.stderr
    assert {"accepted", "refused"} == {
        verdict["outcome"] for verdict in report["verdicts"]
    }  # the refusal of an auditor has no effect
    assert report["properties"]["head.bytes"] == MIB
    for data, code in [
        (b"a blocked image\n", "blocked-image"),
        (b"<html>", "refused"),
        (bytes(MIB) + b"-----BEGIN OPENSSH PRIVATE KEY-----", "forbidden-text"),
    ]:
        image.write_bytes(data)
        ended = program("check", image, "--config", "douane.toml", "--json")
        assert (ended.returncode, json.loads(ended.stdout)["code"]) == (1, code), ended.stderr
