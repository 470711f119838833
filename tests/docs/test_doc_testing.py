"""The page about the author's kit has all of the kit, and its examples are run."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

import douane_plugin.testing
from douane_plugin.testing import pytest_plugin
from support.doc_pages import blocks, page, spans

PAGE = "docs/testing-plugins.md"
FIXTURES = sorted(name for name in vars(pytest_plugin) if name.startswith("douane_"))


def members():
    """Every public attribute of every public class: (class, attribute)."""
    for name in douane_plugin.testing.__all__:
        member = getattr(douane_plugin.testing, name)
        if not isinstance(member, type):
            continue
        names = {each for each in vars(member) if not each.startswith("_")}
        names |= {"received"} if name == "Replies" else {"offsets"} if name == "Cuts" else set()
        if dataclasses.is_dataclass(member):
            names |= {each.name for each in dataclasses.fields(member) if not each.name.startswith("_")}
        if issubclass(member, Exception) and "__init__" in vars(member):
            names |= {each for each in inspect.signature(member).parameters if each in ("result", "key")}
        yield from ((name, each) for each in sorted(names))


def is_named(name: str) -> bool:
    return any(re.search(rf"\b{name}\b", span) for span in spans(page(PAGE)))


def test_there_is_something_to_look_for():
    assert {("Result", "outcome"), ("Result", "open_output"), ("Declared", "owner")} <= set(members())
    assert "douane_run" in FIXTURES


@pytest.mark.parametrize("name", [*douane_plugin.testing.__all__, *FIXTURES])
def test_every_public_name_is_on_the_page(name):
    assert is_named(name)


@pytest.mark.parametrize(("owner", "name"), list(members()))
def test_every_member_is_on_the_page(owner, name):
    assert is_named(name), f"{owner}.{name}"


@pytest.mark.parametrize("name", ["run", "run_all_cuts", "image_bytes", "Declared"])
def test_every_parameter_is_on_the_page(name):
    for parameter in inspect.signature(getattr(douane_plugin.testing, name)).parameters:
        assert parameter == "keywords" or is_named(parameter), f"{name}({parameter})"


def test_the_kinds_of_images_are_on_the_page():
    assert all(f'"{kind}"' in spans(page(PAGE)) for kind in douane_plugin.testing.KINDS)


def test_the_signature_of_run_stands_there_as_it_is():
    signature = inspect.signature(douane_plugin.testing.run)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    expected = f"run{signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)}"
    text = " ".join(page(PAGE).split())
    assert expected.replace("b''", 'b""').replace("('*',)", '("*",)') in text


def test_every_example_is_saved_and_so_run():
    # test_doc_commands runs the commands of the page, on the files that it says to save.
    examples = [block for block in blocks(page(PAGE)) if block.language == "python"]
    commands = "".join(block.text for block in blocks(page(PAGE)) if block.language == "console")
    assert examples
    for block in examples:
        assert block.file is not None, block.text
        assert block.file in commands or f"test_{block.file}" in commands, block.file
