"""What a start of `douane` imports: no more than the command needs. Time is measured in bench/, never here."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import click
import pytest

from douane import __version__
from douane.cli.main import douane

LOADED = """
import atexit, sys
atexit.register(lambda: print("\\n".join(sys.modules), file=sys.stderr))
from douane.cli.main import run
run()
"""
HEAVY = {
    "importlib.metadata",
    "douane.engine",
    "douane.sandbox",
    "douane.catalog",
    "douane_kit",
    "msgspec",
    "rich",
    "sqlalchemy",
}
FIRST_LINE = 60
"""Characters; a longer one ends with `...` in the list of commands."""


def loaded_by(*words: str) -> set[str]:
    """The modules that `douane` with these arguments has imported at its end."""
    ended = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


@pytest.mark.parametrize(
    "words", [("--version",), ("--help",), ("check", "--help"), ("import", "--help"), ("plugin", "test", "--help")]
)
def test_help_and_version_import_neither_engine_nor_sandbox(words: tuple[str, ...]) -> None:
    assert not loaded_by(*words) & HEAVY


def test_a_check_imports_nothing_heavy(tmp_path: Path) -> None:
    """Some are imported by other modules of the standard library, unasked: 2.6 ms for pathlib."""
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(1 << 20))
    unused = {
        "asyncio",
        "email",
        "importlib.metadata",
        "ipaddress",
        "pathlib",
        "rich",
        "shutil",
        "sqlalchemy",
        "tempfile",
    }
    assert not loaded_by("check", str(image)) & unused


def test_version_imports_no_command() -> None:
    assert not [name for name in loaded_by("--version") if name.startswith("douane.cli.") and name.endswith("_cmd")]


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert __version__ == project["version"]


def groups(group: click.Group) -> list[click.Group]:
    """A group and all groups of commands in it."""
    context = click.Context(group)
    commands = [group.get_command(context, name) for name in group.list_commands(context)]
    return [group, *chain.from_iterable(groups(command) for command in commands if isinstance(command, click.Group))]


@pytest.mark.parametrize("group", groups(douane), ids=lambda group: group.name)
def test_the_list_of_commands_cuts_no_line(group: click.Group) -> None:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        first_line = (command.help or "").partition("\n")[0]
        assert first_line.endswith(".")
        assert len(first_line) <= FIRST_LINE, first_line
        assert command.get_short_help_str(100) == first_line
