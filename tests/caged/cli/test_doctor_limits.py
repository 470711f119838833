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
        done = douane.run(command, raw, "--json", wrap=("prlimit", option))
        assert (done.code, done.json["code"]) == (3, "sandbox-failed")
        assert f"`ulimit {name}` is " in done.json["message"]
        assert "needs at least" in done.json["message"]
    assert douane.images() == []


def test_the_doctor_names_it_and_says_that_nothing_would_run(douane: Program) -> None:
    done = douane.run("doctor", "--json", wrap=("prlimit", "--nofile=40"))
    assert (done.code, done.json["best"]) == (3, None)
    [limit] = [layer for layer in done.json["layers"] if layer["name"] == "ulimit"]
    assert not limit["ok"]
    assert "ulimit -n 64" in limit["remedy"]


def test_a_cgroup_is_told_as_a_layer_that_nothing_needs(douane: Program) -> None:
    told = douane.run("doctor", "--json").json
    [layer] = [layer for layer in told["layers"] if layer["name"] == "cgroup"]
    assert layer["optional"]
    assert layer["ok"] or ("RLIMIT_DATA" in layer["detail"] and "Delegate=yes" in layer["remedy"])
    assert told["best"] in ("full", "strict")
    [row] = [line.split("\t") for line in douane.run("doctor").text.splitlines() if "\tcgroup\t" in line]
    assert row[2] in ("ok", "optional")
