"""`douane check`: the outcome, its exit code and its report, as people and programs get them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.program import ENGINE_PLUGINS, PLUGINS, Program

ECHO = f"{PLUGINS}/echo.py:Echo"
PICKY = f"{PLUGINS}/echo.py:Picky"
VERDICT_KEYS = {
    *("plugin", "outcome", "code", "message", "mode"),
    *("bytes_seen", "bytes_total", "seconds", "properties", "warnings"),
}


def test_an_accepted_image_is_reported_to_programs(douane: Program, qcow2: Path) -> None:
    result = douane.run("check", qcow2, "--json")
    report = result.json
    assert (result.code, report["outcome"], result.stderr) == (0, "accepted", "")
    [verdict] = report["verdicts"]
    assert verdict.keys() >= VERDICT_KEYS
    assert (verdict["plugin"], verdict["outcome"], verdict["mode"]) == ("format", "accepted", "enforce")
    assert verdict["properties"]["format.disk_format"] == "qcow2"
    assert verdict["properties"]["format.virtual_size"] == 10 << 20
    data = qcow2.read_bytes()
    assert verdict["bytes_total"] == len(data)
    assert 0 < verdict["bytes_seen"] <= len(data)
    for end in ("received", "stored"):
        assert report[end]["size"] == len(data)
        for name in ("md5", "sha256", "sha512"):
            assert report[end][name] == hashlib.new(name, data).hexdigest()
    assert report["sandbox"] in ("full", "strict")
    assert not (douane.home / "store").exists()


def test_an_accepted_image_is_reported_to_people(douane: Program, qcow2: Path) -> None:
    result = douane.run("check", qcow2)
    assert result.code == 0
    lines = result.text.splitlines()
    assert lines[0] == f"accepted: {qcow2}"
    assert lines[1].split("\t")[:3] == ["plugin", "verdict", "mode"]
    assert lines[2].split("\t")[:3] == ["format", "accepted", "enforce"]
    assert hashlib.sha256(qcow2.read_bytes()).hexdigest() in result.text
    assert "format qcow2, virtual size 10.0 MiB" in lines
    assert "\x1b" not in result.text


def test_a_refusal_tells_the_tenant_why(douane: Program, qcow2: Path) -> None:
    args = ("check", qcow2, "--plugin", PICKY, "--set", "picky.begins=QFI")
    result = douane.run(*args)
    assert result.code == 1
    assert result.text.startswith(f"refused: {qcow2}\n  begins-so: the image begins with b'QFI'; send another one\n")
    result = douane.run(*args, "--json")
    report = result.json
    assert (result.code, report["outcome"], report["code"]) == (1, "refused", "begins-so")
    assert report["message"] == "the image begins with b'QFI'; send another one"
    [verdict] = [verdict for verdict in report["verdicts"] if verdict["plugin"] == "picky"]
    assert (verdict["outcome"], verdict["code"]) == ("refused", "begins-so")
    assert not (douane.home / "store").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_decided_is_neither_yes_nor_no(douane: Program, qcow2: Path, as_json: bool) -> None:
    result = douane.run("check", qcow2, "--plugin", f"{ENGINE_PLUGINS}/good.py:Defers", *["--json"] * as_json)
    assert result.code == 3
    if as_json:
        assert (result.json["outcome"], result.json["retry_after"]) == ("undecided", 60)
    else:
        assert result.text.startswith(f"undecided: not let in: {qcow2}\n  deferred: the rules are being loaded\n")


def test_an_image_may_come_from_a_pipe(douane: Program, qcow2: Path) -> None:
    data = qcow2.read_bytes()
    for more in ((), ("--size", len(data))):
        result = douane.run("check", "-", "--json", *more, input=data)
        assert (result.code, result.json["received"]["sha256"]) == (0, hashlib.sha256(data).hexdigest())
    assert douane.run("check", "-", input=data).text.startswith("accepted: standard input\n")


def test_plugins_of_the_command_line_stand_after_those_of_the_configuration(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path]
) -> None:
    config = write("plan.toml", f'[[plugin]]\nname = "first"\nuse = "{ECHO}"\nconfig = {{ number = 7 }}\n')
    result = douane.run(
        *("check", qcow2, "--json", "--config", config, "--plugin", ECHO),
        *("--plugin", f"third={ECHO}", "--plugin", "exec:/usr/bin/md5sum", "--set", "third.number=9"),
    )
    assert result.code == 0, result.stderr
    verdicts = {verdict["plugin"]: verdict for verdict in result.json["verdicts"]}
    assert list(verdicts) == ["first", "echo", "third", "md5sum"]
    numbers = [verdicts[name]["properties"][f"{name}.number"] for name in ("first", "echo", "third")]
    assert numbers == [7, 0, 9]
    assert verdicts["first"]["warnings"] == [{"code": "said", "message": "a warning"}]


def test_a_plugin_may_stand_alone(douane: Program, qcow2: Path) -> None:
    """Without a configuration, the built-in plan's `format` goes on looking too; an empty file asks nothing."""
    report = douane.run("check", qcow2, "--json", "--plugin", ECHO).json
    assert [verdict["plugin"] for verdict in report["verdicts"]] == ["format", "echo"]
    empty = qcow2.with_name("empty.toml")
    empty.touch()
    report = douane.run("check", qcow2, "--json", "--config", empty, "--plugin", ECHO).json
    assert [verdict["plugin"] for verdict in report["verdicts"]] == ["echo"]


def test_a_plugin_of_a_module_and_one_by_its_relative_path(douane: Program, qcow2: Path) -> None:
    result = douane.run("check", qcow2, "--json", "-p", "douane.plugins.limits:Limits", "--set", "limits.max_size=1KiB")
    assert (result.code, result.json["code"]) == (1, "too-large")
    (douane.place / "own.py").write_text((PLUGINS / "echo.py").read_text())
    assert douane.run("check", qcow2, "-p", "own.py:Echo").code == 0


def test_a_setting_on_the_command_line_wins_over_the_file(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path]
) -> None:
    config = write("plan.toml", f'[[plugin]]\nname = "echo"\nuse = "{ECHO}"\nconfig = {{ number = 7, part = 0.25 }}\n')
    result = douane.run("check", qcow2, "--json", "-c", config, "--set", "echo.number=8", "--set", "echo.sure=true")
    properties = result.json["verdicts"][0]["properties"]
    assert (properties["echo.number"], properties["echo.part"], properties["echo.sure"]) == (8, 0.25, True)


# What can be an argument at all: no NUL, and text that is UTF-8 (execve(2)).
ARGUMENT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(ARGUMENT, min_size=5, max_size=5),
    numbers=st.lists(st.integers(-(1 << 53), 1 << 53), min_size=5, max_size=5),
)
def test_every_text_and_number_reaches_the_plugin_as_it_was_written(
    douane: Program, texts: list[str], numbers: list[int]
) -> None:
    args: list[str] = []
    for place, (text, number) in enumerate(zip(texts, numbers, strict=True)):
        args += ["-p", f"p{place}={ECHO}", "--set", f"p{place}.text={text}", "--set", f"p{place}.number={number}"]
    result = douane.run("check", "-", "--json", *args, input=b"image")
    assert result.code == 0, result.stderr
    properties = result.json["properties"]
    assert [bytes.fromhex(properties[f"p{place}.text"]).decode() for place in range(5)] == texts
    assert [properties[f"p{place}.number"] for place in range(5)] == numbers


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_the_tier_that_is_asked_for_is_the_tier_that_ran(douane: Program, qcow2: Path, tier: str) -> None:
    report = douane.run("check", qcow2, "--json", "--sandbox", tier).json
    assert report["sandbox"] == tier
    assert report["verdicts"][0]["ran"]["sandbox"] == tier


@pytest.mark.parametrize("command", ["check", "import"])
@pytest.mark.parametrize("as_json", [False, True])
def test_no_cage_at_all_is_shouted(douane: Program, qcow2: Path, command: str, as_json: bool) -> None:
    result = douane.run(command, qcow2, "--sandbox", "off", *["--json"] * as_json)
    assert result.code == 0
    assert result.stderr.startswith("WARNING: ")
    assert "the sandbox is off" in result.stderr
    if as_json:
        assert result.json["sandbox"] == "off"


def test_a_plan_that_demands_the_full_cage_is_not_run_in_less_by_itself(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path]
) -> None:
    """Where bubblewrap is not to be had: refused, with what to do, and nothing is run."""
    config = write("plan.toml", f'[sandbox]\nminimum = "full"\n[[plugin]]\nname = "echo"\nuse = "{ECHO}"\n')
    tools = douane.place / "tools"
    tools.mkdir()
    result = douane.run("check", qcow2, "--json", "-c", config, env={**douane.env, "PATH": str(tools)})
    assert (result.code, result.json["code"], result.json["verdicts"]) == (3, "sandbox-failed", [])
    assert "bubblewrap" in result.stderr
    assert "douane doctor" in result.stderr


def test_formats_are_declared_and_must_be_true(douane: Program, qcow2: Path) -> None:
    assert douane.run("check", qcow2, "--disk-format", "qcow2", "--container-format", "bare").code == 0
    result = douane.run("check", qcow2, "--disk-format", "vmdk", "--json")
    assert (result.code, result.json["code"]) == (1, "format-mismatch")
    assert "declared as vmdk, but it is qcow2" in result.json["message"]


def test_an_image_that_leans_on_another_file_is_refused(douane: Program, qcow2: Path) -> None:
    overlay = qcow2.with_name("overlay.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", qcow2, "-F", "qcow2", overlay], check=True)
    result = douane.run("check", overlay, "--json")
    assert (result.code, result.json["code"]) == (1, "unsafe-backing-file")


def test_name_and_properties_reach_the_plugins(douane: Program, qcow2: Path) -> None:
    args = ("-p", f"{PLUGINS}/echo.py:Property", "--property", "colour=dark=blue")
    properties = douane.run("check", qcow2, "--json", *args).json["properties"]
    assert (properties["property.name"], properties["property.colour"]) == ("disk.qcow2", "dark=blue")


def test_what_plugins_say_is_shown_when_it_is_asked_for(douane: Program, qcow2: Path) -> None:
    args = ("check", qcow2, "-p", f"{ENGINE_PLUGINS}/good.py:Speaks")
    assert "from print" not in douane.run(*args).stderr
    result = douane.run(*args, "--verbose")
    assert "speaks: from print" in result.stderr.splitlines()
    assert "speaks: from the log" in result.stderr.splitlines()
    assert "warning old: the image is old" in result.text


def test_documents_are_named_for_a_person_and_shown_as_json(douane: Program, raw: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "inventory.py"
    plugin.write_text(
        "from douane_plugin import Inspector\n"
        "class Inventory(Inspector):\n"
        "    reads = 'nothing'\n"
        "    def inspect(self, image):\n"
        "        self.attach('packages', [{'name': 'bash'}])\n"
    )
    printed = douane.run("check", raw, "--plugin", f"{plugin}:Inventory")
    assert "attached packages" in printed.text
    [verdict] = [
        verdict
        for verdict in douane.run("check", raw, "--plugin", f"{plugin}:Inventory", "--json").json["verdicts"]
        if verdict["plugin"] == "inventory"
    ]
    assert verdict["documents"] == {"packages": [{"name": "bash"}]}
