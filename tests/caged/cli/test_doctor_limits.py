"""What a shell's limits or a missing cgroup mean for Douane is told in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.program import Program


@pytest.mark.parametrize(("option", "name"), [("--nofile=20", "-n"), ("--fsize=0", "-f"), ("--data=20000000", "-d")])
def test_a_limit_of_the_shell_is_named_and_nothing_is_let_in(
    douane: Program, raw: Path, option: str, name: str
) -> None:
    for command in ("check", "import"):
        result = douane.run(command, raw, "--json", wrap=("prlimit", option))
        assert (result.code, result.json["code"]) == (3, "sandbox-failed")
        assert f"`ulimit {name}` is " in result.json["message"]
        assert "needs at least" in result.json["message"]
    assert douane.images() == []


def test_the_doctor_names_it_and_says_that_nothing_would_run(douane: Program) -> None:
    result = douane.run("doctor", "--json", wrap=("prlimit", "--nofile=40"))
    assert (result.code, result.json["best"]) == (3, None)
    [limit] = [layer for layer in result.json["layers"] if layer["name"] == "ulimit"]
    assert not limit["ok"]
    assert "ulimit -n 64" in limit["remedy"]


def test_a_cgroup_is_told_as_a_layer_that_nothing_needs(douane: Program) -> None:
    document = douane.run("doctor", "--json").json
    [layer] = [layer for layer in document["layers"] if layer["name"] == "cgroup"]
    assert layer["optional"]
    assert layer["ok"] or ("RLIMIT_DATA" in layer["detail"] and "Delegate=yes" in layer["remedy"])
    assert document["best"] in ("full", "strict")
    [row] = [line.split("\t") for line in douane.run("doctor").text.splitlines() if "\tcgroup\t" in line]
    assert row[2] in ("ok", "optional")
