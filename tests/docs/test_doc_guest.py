"""The commands of docs/guest.md are those of the program."""

from __future__ import annotations

import re

import click
import pytest

from douane.cli.main import douane
from support.doc_pages import page

SHARED = {"--home", "--sandbox", "--verbose", "--json", "--guest"}
COMMANDS = ("ls", "cat", "sbom")


def options_of(name: str) -> set[str]:
    command = douane.get_command(click.Context(douane), name)
    assert command is not None
    return {parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_synopsis_has_every_option(name: str) -> None:
    (line,) = re.findall(rf"^douane {name} (.*)$", page("docs/guest.md").partition("\n## ")[0], re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", line)) | SHARED >= options_of(name)
    assert set(re.findall(r"--[a-z-]+", line)) <= options_of(name)


def test_the_shared_options_are_named() -> None:
    assert {"--home", "--sandbox", "--verbose", "--guest"} <= options_of("inspect")
    for option in SHARED:
        assert f"`{option}`" in page("docs/guest.md") or option in page("docs/guest.md")
