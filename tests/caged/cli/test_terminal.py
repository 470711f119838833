"""What a person sees on a terminal, and what happens when nobody looks any more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.program import ENGINE_PLUGINS, PLUGINS, Program, end
from support.terminals import on_a_terminal, plain

GREEN, RED = "\x1b[32m", "\x1b[1;31m"


def test_verdicts_are_a_table_in_colour(douane: Program, qcow2: Path) -> None:
    code, screen = on_a_terminal(douane, "check", qcow2, "--plugin", f"{PLUGINS}/echo.py:Echo")
    assert code == 0, screen
    text = plain(screen)
    assert "─" in text
    assert GREEN in screen
    head, _, first, second = text[text.index("plugin") :].splitlines()[:4]
    assert head.split()[:3] == ["plugin", "verdict", "mode"]
    assert (first.split()[:2], second.split()[:2]) == (["format", "accepted"], ["echo", "accepted"])
    assert first.index("accepted") == second.index("accepted") == head.index("verdict")
    assert "Traceback" not in text


def test_a_refusal_stands_out(douane: Program, qcow2: Path) -> None:
    code, screen = on_a_terminal(douane, "check", qcow2, "--disk-format", "vmdk")
    assert code == 1, screen
    assert "refused: " in plain(screen)
    assert "\x1b[31m" in screen or RED in screen


def test_a_failing_plugin_and_a_wrong_option_are_told_without_a_traceback_of_ours(douane: Program) -> None:
    (douane.place / "one").write_bytes(b"x")
    code, screen = on_a_terminal(douane, "check", "one", "--plugin", f"{ENGINE_PLUGINS}/hostile.py:OsExit")
    assert code == 3
    assert "'osexit'" in plain(screen)
    assert "Traceback" not in screen
    code, screen = on_a_terminal(douane, "check", "one", "--sandbox", "high")
    assert code == 2
    assert "Traceback" not in screen


def test_an_import_on_a_terminal_leaves_the_id_and_no_remains_of_its_bar(douane: Program, raw: Path) -> None:
    code, screen = on_a_terminal(douane, "import", raw)
    assert code == 0, screen
    [image] = douane.images()
    assert plain(screen).splitlines()[-1] == image["id"]


def test_an_id_can_be_copied_from_a_small_terminal(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    _, screen = on_a_terminal(douane, "images", columns=80)
    assert image_id in plain(screen)


def test_images_plan_doctor_and_json_on_a_terminal(douane: Program, qcow2: Path) -> None:
    image_id = douane.bring_in(qcow2)
    for args, words in (
        (("images",), image_id),
        (("show", image_id), "10.0 MiB"),
        (("plan",), "format"),
        (("doctor",), "best tier"),
        (("images", "--json"), f'"id": "{image_id}"'),
    ):
        code, screen = on_a_terminal(douane, *args)
        assert code == 0, screen
        assert words in plain(screen)
        assert ("─" in screen) == ("--json" not in args)


def test_a_tenants_name_moves_no_cursor_and_makes_no_second_row(douane: Program, qcow2: Path) -> None:
    """A name is a stranger's text: it must not be able to repaint the operator's screen, or forge a line of a list."""
    name = "web\x1b[2J\x1b]0;owned\x07\nforged"
    image_id = douane.bring_in(qcow2, "--name", name, "--property", "note=\x1b[31mred\nforged-too")
    assert douane.images()[0]["name"] == name
    for args in (("images",), ("show", image_id)):
        _, screen = on_a_terminal(douane, *args)
        assert "\x1b[2J" not in screen
        assert "\x1b]0;" not in screen
        assert "\x1b[31mred" not in screen
        lines = douane.run(*args).text.splitlines()
        assert not [line for line in lines if line.startswith("forged")]
        assert "\x1b" not in "".join(lines)


def test_a_files_name_moves_no_cursor(douane: Program, qcow2: Path) -> None:
    qcow2 = qcow2.rename(qcow2.with_name("a\x1b[2Jb.qcow2"))
    for files in ([qcow2], ["gone\x1b[2J"], [qcow2, "another\x1b[2J"], ["--bad\x1b[2J"]):
        _, screen = on_a_terminal(douane, "check", *files)
        assert "\x1b[2J" not in screen


@pytest.mark.parametrize("name", ["a[/x]b", "[link=https:evil]a[/link]", "[red]a", "a:bomb:b"])
def test_a_files_name_is_no_markup(douane: Program, qcow2: Path, name: str) -> None:
    path = douane.place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    code, screen = on_a_terminal(douane, "check", qcow2.rename(path).relative_to(douane.place))
    assert code == 0, screen
    assert f"accepted: {name}" in plain(screen)
    assert "\x1b]8;" not in screen


@pytest.mark.parametrize(
    "args",
    [
        ("images",),
        ("images", "--json"),
        ("show", "{id}"),
        ("check", "{file}"),
        ("check", "{file}", "--json"),
        ("plan",),
    ],
    ids=" ".join,
)
def test_a_reader_that_went_away_is_no_fault(douane: Program, qcow2: Path, args: tuple[str, ...]) -> None:
    image_id = douane.bring_in(qcow2)
    read, write = os.pipe()
    os.close(read)
    running = douane.start(*(arg.format(id=image_id, file=qcow2) for arg in args), stdout=write)
    os.close(write)
    result = end(running)  # which looks for a traceback
    assert result.stderr == ""
    assert result.code not in (1, 2)  # it is no refusal, and no wrong usage


def test_the_first_line_is_enough(douane: Program, qcow2: Path) -> None:
    script = 'douane=$1; shift; "$douane" "$@" | head -n 1'
    result = subprocess.run(
        ["sh", "-c", script, "sh", *douane.command("check", qcow2)], env=douane.env, capture_output=True, check=True
    )
    assert result.stdout == f"accepted: {qcow2}\n".encode()
    assert result.stderr == b""


def test_saving_to_a_reader_that_went_away(douane: Program, raw: Path) -> None:
    image_id = douane.bring_in(raw)
    read, write = os.pipe()
    running = douane.start("save", image_id, "-", stdout=write)
    os.close(write)
    assert os.read(read, 1)
    os.close(read)
    result = end(running)
    assert result.code == 3
    assert "went away" in result.stderr
