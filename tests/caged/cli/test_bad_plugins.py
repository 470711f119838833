"""Plugins that do wrong, as the operator and the tenant see it. What the engine does about each is tested there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.program import ENGINE_PLUGINS, Program


@pytest.mark.parametrize(
    ("fault", "outcome", "code"),
    [
        ("Raises", "failed", "plugin-error"),
        ("OsExit", "failed", "plugin-died"),
        ("Loops", "timeout", "plugin-stalled"),
        ("Forks", "failed", None),
        ("FloodsOutput", "timeout", None),
        ("OutsideNamespace", "failed", "plugin-properties"),
        ("WritesRubbish", "failed", "plugin-protocol"),
    ],
)
def test_a_plugin_that_fails_lets_nothing_in(
    douane: Program, raw: Path, write: Callable[[str, str], Path], fault: str, outcome: str, code: str | None
) -> None:
    name = fault.lower()
    plugin = f'[[plugin]]\nname = "{name}"\nuse = "{ENGINE_PLUGINS}/hostile.py:{fault}"\nstall = "2s"\ntimeout = "4s"\n'
    config = write("plan.toml", plugin)
    result = douane.run("import", raw, "--config", config, "--json")
    document = result.json
    assert (result.code, document["outcome"], document["image"]) == (3, "undecided", None), result
    [verdict] = document["verdicts"]
    assert (verdict["plugin"], verdict["outcome"]) == (name, outcome)
    assert code is None or verdict["code"] == code
    assert f"'{name}'" in document["message"]
    assert "secret" not in document["message"]
    assert len(result.stderr) < 1 << 20
    assert douane.stored() == []
    assert douane.images() == []


def test_the_operator_sees_where_a_plugin_failed_and_the_tenant_does_not(douane: Program, qcow2: Path) -> None:
    args = ("check", qcow2, "--plugin", f"{ENGINE_PLUGINS}/hostile.py:Raises")
    running = douane.start(*args)
    out, err = running.communicate()
    assert running.returncode == 3
    assert b"a secret of the site" in err
    assert b"hostile.py" in err
    assert b"secret" not in out
    assert b"'raises'" in out
    document = douane.run(*args, "--json").json
    [verdict] = [verdict for verdict in document["verdicts"] if verdict["plugin"] == "raises"]
    assert "a secret of the site" in verdict["detail"]
    assert "secret" not in document["message"]


def test_a_plugin_that_may_fail_is_told_and_the_image_comes_in(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path]
) -> None:
    config = write(
        "plan.toml",
        '[[plugin]]\nname = "format"\nuse = "format"\n'
        f'[[plugin]]\nname = "raises"\nuse = "{ENGINE_PLUGINS}/hostile.py:Raises"\nmode = "warn"\n',
    )
    result = douane.run("import", qcow2, "--config", config, "--json")
    assert (result.code, result.json["image"]["status"]) == (0, "active")
    assert [verdict["outcome"] for verdict in result.json["verdicts"]] == ["accepted", "failed"]
    result = douane.run("import", qcow2, "--config", config)
    assert "raises: failed, not enforced: plugin-error: the check 'raises' failed" in result.stderr


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("exec:/bin/sh -c 'echo too old >&2; exit 1'", 1, "too old"),
        ("exec:/bin/sh -c 'exit 7'", 3, "'sh' failed"),
        ("exec:/bin/true", 0, "accepted"),
    ],
)
def test_a_program_is_a_plugin(douane: Program, qcow2: Path, command: str, code: int, words: str) -> None:
    result = douane.run("check", qcow2, "--plugin", command)
    assert result.code == code
    assert words in result.text
