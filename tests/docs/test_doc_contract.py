"""The reference of the contract has all of the contract, and its examples are plugins."""

from __future__ import annotations

import inspect
import re

import pytest

import douane_plugin
from douane_plugin._load import describe
from support.doc_pages import blocks, page, spans

PAGES_WITH_PLUGINS = ("README.md", "sdk/README.md", "docs/contract.md", "docs/tutorial.md")
EXAMPLES = {"Reject": ("a-code", "a text"), "Incomplete": ("a-code", "a text"), "Defer": (1, "a text")}


def members():
    """Every public attribute of every public class: (class, attribute, names of its parameters)."""
    for name in douane_plugin.__all__:
        thing = getattr(douane_plugin, name)
        if not isinstance(thing, type):
            continue
        found = {each for base in thing.__mro__ if base.__module__.startswith("douane_plugin") for each in vars(base)}
        if name in EXAMPLES:
            found |= set(vars(thing(*EXAMPLES[name])))
        for attribute in sorted(each for each in found if not each.startswith("_")):
            value = getattr(thing, attribute, None)
            parameters = list(inspect.signature(value).parameters)[1:] if inspect.isfunction(value) else []
            yield name, attribute, parameters


def named(name: str, text: str) -> bool:
    return any(re.search(rf"\b{name}\b", span) for span in spans(text))


def test_there_is_something_to_look_for():
    found = [(owner, name) for owner, name, _ in members()]
    assert ("Image", "windows") in found and ("Inspector", "reads") in found and ("Defer", "retry_after") in found


@pytest.mark.parametrize("name", douane_plugin.__all__)
def test_every_public_name_is_in_the_reference(name):
    assert named(name, page("docs/contract.md"))


@pytest.mark.parametrize(("owner", "name", "parameters"), list(members()), ids=str)
def test_every_public_member_is_in_the_reference_with_its_parameters(owner, name, parameters):
    found = [span for span in spans(page("docs/contract.md")) if re.search(rf"\b{name}\b", span)]
    assert found, f"{owner}.{name} is not in docs/contract.md"
    assert not parameters or any(
        all(re.search(rf"\b{parameter}\b", span) for parameter in parameters) for span in found
    ), f"{owner}.{name} stands in docs/contract.md without its parameters {parameters}"


@pytest.mark.parametrize("name", PAGES_WITH_PLUGINS)
def test_every_python_example_is_a_plugin(name):
    shown = [block for block in blocks(page(name)) if block.language == "python"]
    # Tests are run by pytest, as the page says: test_doc_commands.py.
    examples = [block.text for block in shown if not (block.file or "").startswith("test_")]
    assert examples
    for text in examples:
        space: dict[str, object] = {"__name__": "example"}
        exec(compile(text, name, "exec"), space)
        classes = [value for value in space.values() if getattr(value, "__module__", "") == "example"]
        assert classes, text
        for each in classes:
            assert describe(each)["api"] == douane_plugin.API_LEVEL


def test_the_readme_and_the_package_show_the_same_first_plugin():
    def without_comments(name):
        (first, *_) = [block.text for block in blocks(page(name)) if "class BootSector" in block.text]
        return re.sub(r"  #.*", "", first)

    assert without_comments("README.md") == without_comments("sdk/README.md")
