"""`douane inspect`: what a person sees, what a program gets, and what it does not do."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.program import MIB, Program
from support.terminals import on_a_terminal, plain

Write = Callable[[str, str], Path]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A qcow2 image with a backing file whose name drives a terminal."""
    image = tmp_path / "hostile.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "8M"], check=True)
    name = b"/etc/\x1b]0;owned\x07\x1b[2Jpasswd\rnice"
    with image.open("r+b") as file:
        file.seek(8)
        file.write(struct.pack(">QI", 512, len(name)))
        file.seek(512)
        file.write(name)
    return image


def test_a_person_sees_what_it_is_and_which_bytes_say_so(douane: Program, qcow2: Path) -> None:
    result = douane.run("inspect", qcow2)
    assert result.code == 0, result.stderr
    lines = result.text.splitlines()
    assert lines[0] == f"accepted: {qcow2}"
    rows = [line.split() for line in lines]
    assert ["is", "qcow2", "v3"] in rows
    assert ["disk", "10.0", "MiB", "(10485760", "bytes)"] in rows
    assert ["20", "cluster_bits", "16"] in rows
    head = next(line for line in lines if "offset" in line)
    row = next(line for line in lines if "cluster_bits" in line)
    assert head.index("field") == row.index("cluster_bits")
    assert head.index("value") == row.index("16")


def test_a_refusal_comes_with_code_reason_and_offset(douane: Program, hostile: Path) -> None:
    result = douane.run("inspect", hostile)
    assert result.code == 1
    lines = result.text.splitlines()
    assert lines[0] == f"refused: {hostile}"
    assert lines[1].startswith("  unsafe-backing-file: the qcow2 image is not safe: it names the backing file")
    (reason,) = [line for line in lines if line.startswith("  refuse")]
    assert "backing-file" in reason
    assert "(at 512)" in reason


def test_programs_get_the_same_as_json(douane: Program, hostile: Path, qcow2: Path) -> None:
    result = douane.run("inspect", hostile, "--json")
    assert result.code == 1
    assert (result.json["outcome"], result.json["code"]) == ("refused", "unsafe-backing-file")
    assert result.json["formats"][0]["findings"][0]["offset"] == 512
    result = douane.run("inspect", qcow2, "--json")
    assert result.code == 0
    explanation = result.json
    assert (explanation["outcome"], explanation["code"], explanation["disk_format"]) == ("accepted", None, "qcow2")
    assert (explanation["virtual_size"], explanation["size"]) == (10 * MIB, qcow2.stat().st_size)
    assert explanation["sandbox"] in ("full", "strict")
    assert {"name": "cluster_bits", "value": 16, "offset": 20} in explanation["formats"][0]["fields"]


def test_what_cannot_be_decided_ends_with_3(douane: Program, tmp_path: Path) -> None:
    short = tmp_path / "short.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", short, "8M"], check=True)
    os.truncate(short, 65536)
    result = douane.run("inspect", short)
    assert result.code == 3
    assert result.text.startswith(f"undecided: {short}\n  truncated: ")
    explanation = douane.run("inspect", short, "--json")
    assert (explanation.code, explanation.json["outcome"], explanation.json["code"]) == (3, "undecided", "truncated")


def test_a_pipe_is_inspected_like_a_file(douane: Program, qcow2: Path) -> None:
    result = douane.run("inspect", "-", input=qcow2.read_bytes())
    assert result.code == 0, result.stderr
    assert result.text.splitlines()[0] == "accepted: standard input"
    assert result.text.splitlines()[1:] == douane.run("inspect", qcow2).text.splitlines()[1:]


def test_no_byte_of_the_image_or_its_name_drives_the_terminal(douane: Program, hostile: Path, tmp_path: Path) -> None:
    named = tmp_path / "evil\x1b[2J\x07\n\x9b31mname.qcow2"
    hostile.rename(named)
    result = douane.run("inspect", named)
    assert result.code == 1
    for forbidden in ("\x1b", "\x07", "\x9b", "\r"):
        assert forbidden not in result.text
    assert "owned" in result.text  # it is told, and harmless
    assert len(result.text.splitlines()[0]) > len("refused: ") + len(str(tmp_path))
    _, screen = on_a_terminal(douane, "inspect", named)
    for forbidden in ("\x1b]0;owned", "\x1b[2J", "\x07", "\x9b"):
        assert forbidden not in screen
    printed = douane.run("inspect", named, "--json").stdout
    assert printed.isascii()
    assert b"\x1b" not in printed


def test_a_refusal_stands_out_on_a_terminal(douane: Program, hostile: Path) -> None:
    code, screen = on_a_terminal(douane, "inspect", hostile)
    assert code == 1
    assert "\x1b[31m" in screen
    assert "backing-file" in plain(screen)
    assert "Traceback" not in screen


def test_the_settings_are_those_of_the_plan(douane: Program, hostile: Path, write: Write) -> None:
    plan = write(
        "plan.toml", '[[plugin]]\nname = "f"\nuse = "format"\nmode = "warn"\nconfig = {warn=["backing-file"]}\n'
    )
    result = douane.run("inspect", hostile, "--config", plan)
    assert result.code == 0
    assert [line.split()[:2] for line in result.text.splitlines() if "(at 512)" in line] == [["warn", "backing-file"]]
    result = douane.run("inspect", hostile, "--set", "format.partition_table=strict")
    assert result.code == 1
    result = douane.run("inspect", hostile, "--set", "format.warn=nonsense")
    assert result.code == 2
    assert "nonsense" in result.stderr
    second_plan = write("other.toml", '[[plugin]]\nname = "l"\nuse = "limits"\n')
    result = douane.run("inspect", hostile, "--config", second_plan)
    assert result.code == 2
    assert "--config" in result.stderr


def test_what_was_declared_is_compared(douane: Program, qcow2: Path) -> None:
    result = douane.run("inspect", qcow2, "--disk-format", "vmdk")
    assert result.code == 1
    assert "format-mismatch" in result.text


def test_many_fields_are_cut_for_a_person_and_shown_when_asked_for(douane: Program, tmp_path: Path) -> None:
    many = tmp_path / "many.tar"
    names = [tmp_path / f"member{number}" for number in range(60)]
    for name in names:
        name.write_bytes(b"x")
    subprocess.run(["tar", "cf", many, "-C", tmp_path, *(name.name for name in names)], check=True)
    short, long = douane.run("inspect", many).text, douane.run("inspect", many, "--verbose").text
    assert "more: --verbose" in short
    assert "member59" not in short
    assert "member59" in long


def test_a_file_that_is_not_there_is_a_sentence(douane: Program) -> None:
    result = douane.run("inspect", "nowhere.img")
    assert result.code == 2
    assert "nowhere.img cannot be opened" in result.stderr


def test_nothing_is_stored(douane: Program, qcow2: Path) -> None:
    assert douane.run("inspect", qcow2).code == 0
    assert douane.images() == []
    assert douane.stored() == []


@pytest.mark.parametrize("command", ["check", "import"])
def test_it_cannot_be_put_in_a_plan_where_it_would_let_everything_in(
    douane: Program, hostile: Path, write: Write, command: str
) -> None:
    plan = write("plan.toml", '[[plugin]]\nname = "format"\nuse = "explain"\n')
    result = douane.run(command, hostile, "--config", plan)
    assert result.code == 2
    assert "explain" in result.stderr
    assert douane.images() == []
