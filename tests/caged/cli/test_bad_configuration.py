"""A configuration or command line that is wrong: exit code 2, a sentence, and nothing was begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.program import ENGINE_PLUGINS, PLUGINS, Program

FORMAT = '[[plugin]]\nname = "format"\nuse = "format"\n'
ECHO = f"{PLUGINS}/echo.py:Echo"

CONFIGURATIONS = {
    "typo in a key": (FORMAT + 'tiemout = "5m"\n', ("'format'", "tiemout", "timeout")),
    "typo in a table": ("[sandbax]\nminimum = 'full'\n" + FORMAT, ("sandbax", "sandbox")),
    "unknown key": (FORMAT + "colour = 3\n", ("'format'", "colour")),
    "unknown key of a table": ("[import]\nspeed = 3\n" + FORMAT, ("[import]", "speed")),
    "wrong type": (FORMAT + 'threads = "many"\n', ("'format'", "threads", "int")),
    "wrong unit": (FORMAT + 'timeout = "5 parsecs"\n', ("'format'", "timeout", "5 parsecs")),
    "wrong mode": (FORMAT + 'mode = "maybe"\n', ("'format'", "mode", "maybe")),
    "wrong tier": ("[sandbox]\nminimum = 'high'\n" + FORMAT, ("minimum", "high")),
    "one bracket": ('[plugin]\nname = "format"\n', ("[[plugin]]",)),
    "no TOML": ("plugin = [\n", ("is not TOML",)),
    "not even text": ("\udcff\udcfe", ("is not TOML",)),
    "no plugin": ("", ("has no plugin",)),
    "no name": ('[[plugin]]\nuse = "format"\n', ("name",)),
    "two of one name": (FORMAT + FORMAT, ("two plugins", "'format'")),
    "plugin that is not installed": ('[[plugin]]\nname = "p"\nuse = "antivirus"\n', ("'p'", "antivirus", "format")),
    "plugin file that is not there": ('[[plugin]]\nname = "p"\nuse = "gone.py:P"\n', ("'p'", "gone.py")),
    "module that is not there": ('[[plugin]]\nname = "p"\nuse = "nosuch:P"\n', ("'p'", "'nosuch'")),
    "class that is not there": (f'[[plugin]]\nname = "p"\nuse = "{PLUGINS}/echo.py:Tell"\n', ("'p'", "Tell", "Echo")),
    "plugin that fails to import": ('[[plugin]]\nname = "p"\nuse = "broken.py:P"\n', ("'p'", "ZeroDivisionError")),
    "level from the future": (
        f'[[plugin]]\nname = "p"\nuse = "{ENGINE_PLUGINS}/good.py:FromTheFuture"\n',
        ("'p'", "level 99", "1 to 1"),
    ),
    "setting of another type": (
        f'[[plugin]]\nname = "p"\nuse = "{ECHO}"\nconfig = {{ number = "seven" }}\n',
        ("'p'", "'number'", "int", "seven"),
    ),
    "setting that does not exist": (
        f'[[plugin]]\nname = "p"\nuse = "{ECHO}"\nconfig = {{ nunber = 7 }}\n',
        ("'p'", "'nunber'", "number"),
    ),
    "setting that is missing": (f'[[plugin]]\nname = "p"\nuse = "{PLUGINS}/echo.py:Picky"\n', ("'p'", "'begins'")),
    "interpreter that is not there": (FORMAT + 'python = "/no/python"\n', ("'format'", "/no/python")),
}


def test_a_wrong_setting_of_a_built_in_plugin_is_one_sentence(douane: Program, qcow2: Path) -> None:
    result = douane.run("check", qcow2, "--plugin", "limits", "--set", "limits.max_size=much")
    assert (result.code, result.text) == (2, "")
    assert result.stderr.startswith(
        "douane: plugin 'limits' (limits): its configuration is refused: 'max_size' is a size"
    )
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_wrong_configuration_is_told(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path], name: str
) -> None:
    text, words = CONFIGURATIONS[name]
    write("broken.py", "1 / 0\n")
    config = douane.place / "plan.toml"
    config.write_bytes(text.encode(errors="surrogateescape"))
    result = douane.run("import", qcow2, "--config", config, "--json")
    assert (result.code, result.json["code"], result.json["verdicts"]) == (2, "wrong-configuration", [])
    for word in words:
        assert word in result.json["message"], result.json["message"]
    assert result.stderr.startswith("douane: ")
    assert result.json["message"] in result.stderr
    assert douane.stored() == []


def test_a_wrong_configuration_leaves_no_image_behind(
    douane: Program, qcow2: Path, write: Callable[[str, str], Path]
) -> None:
    """A plugin that does not import is found when the import has already begun."""
    write("broken.py", "1 / 0\n")
    assert douane.run("import", qcow2, "--plugin", "broken.py:P").code == 2
    assert douane.images() == []


COMMAND_LINES = {
    "configuration that is not there": (("--config", "gone.toml"), "gone.toml cannot be read: No such file"),
    "configuration that is a directory": (("--config", "/"), "/ cannot be read: Is a directory"),
    "setting without a value": (("--set", "format.ignore"), "write it as NAME.KEY=VALUE"),
    "setting of nobody": (("--set", "antivirus.depth=3"), "no plugin 'antivirus' in the plan; it has: format"),
    "setting of the wrong type": (("-p", ECHO, "--set", "echo.number=x"), "'echo'"),
    "plugin without a name": (("--plugin", "exec:"), "exec:"),
    "program that is not there": (("--plugin", "exec:/no/such"), "'/no/such'"),
    "two of one name": (("-p", ECHO, "-p", ECHO), "'echo'"),
    "property without a value": (("--property", "colour"), "--property colour: write it as NAME=VALUE"),
    "property twice": (("--property", "a=1", "--property", "a=2"), "--property a is given twice"),
}


@pytest.mark.parametrize("name", COMMAND_LINES)
def test_a_wrong_command_line_is_told(douane: Program, qcow2: Path, name: str) -> None:
    args, sentence = COMMAND_LINES[name]
    result = douane.run("check", qcow2, *args, "--json")
    assert (result.code, result.json["verdicts"]) == (2, []), result
    assert sentence in result.stderr
    assert sentence in result.json["message"]
    assert douane.stored() == []


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("check",), "Missing argument 'FILE'"),
        (("check", "disk.qcow2", "--jsno"), "--json"),
        (("check", "disk.qcow2", "--sandbox", "high"), "'full', 'strict', 'off'"),
        (("check", "-", "--size", "-1"), "--size"),
        (("chekc", "disk.qcow2"), "No such command 'chekc'"),
        (("delete",), "ID"),
    ],
)
def test_what_the_option_parser_refuses_is_told_in_words(douane: Program, args: tuple[str, ...], sentence: str) -> None:
    result = douane.run(*args, "--json")
    assert sentence in result.stderr
    assert (result.code, result.json["code"], result.json["verdicts"]) == (2, "wrong-usage", [])
    assert sentence in result.json["message"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--name", "x" * 300), "the name has 300 characters; at most 255 are kept"),
        (("--property", "k" * 300 + "=v"), "the name of a property has 300 characters"),
        (("--disk-format", "x" * 200), "the disk format has 200 characters"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_anything_is_read(
    douane: Program, qcow2: Path, args: tuple[str, ...], sentence: str
) -> None:
    result = douane.run("import", qcow2, *args, "--json")
    assert sentence in result.stderr
    assert (result.code, result.json["code"]) == (2, "wrong-configuration")
    assert douane.images() == []


def test_the_size_that_was_told_must_be_the_files(douane: Program, qcow2: Path) -> None:
    assert douane.run("check", qcow2, "--size", qcow2.stat().st_size).code == 0
    result = douane.run("check", qcow2, "--size", "5")
    assert result.code == 2
    assert f"{qcow2} has {qcow2.stat().st_size} bytes, not the announced 5" in result.stderr
