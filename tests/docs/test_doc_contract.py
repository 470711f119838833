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
        member = getattr(douane_plugin, name)
        if not isinstance(member, type):
            continue
        names = {each for base in member.__mro__ if base.__module__.startswith("douane_plugin") for each in vars(base)}
        if name in EXAMPLES:
            names |= set(vars(member(*EXAMPLES[name])))
        for attribute in sorted(each for each in names if not each.startswith("_")):
            value = getattr(member, attribute, None)
            parameters = list(inspect.signature(value).parameters)[1:] if inspect.isfunction(value) else []
            yield name, attribute, parameters


def named(name: str, text: str) -> bool:
    return any(re.search(rf"\b{name}\b", span) for span in spans(text))


def test_there_is_something_to_look_for():
    listed = [(owner, name) for owner, name, _ in members()]
    assert ("Image", "windows") in listed and ("Inspector", "reads") in listed and ("Defer", "retry_after") in listed


@pytest.mark.parametrize("name", douane_plugin.__all__)
def test_every_public_name_is_in_the_reference(name):
    assert named(name, page("docs/contract.md"))


@pytest.mark.parametrize(("owner", "name", "parameters"), list(members()), ids=str)
def test_every_public_member_is_in_the_reference_with_its_parameters(owner, name, parameters):
    mentions = [span for span in spans(page("docs/contract.md")) if re.search(rf"\b{name}\b", span)]
    assert mentions, f"{owner}.{name} is not in docs/contract.md"
    assert not parameters or any(
        all(re.search(rf"\b{parameter}\b", span) for parameter in parameters) for span in mentions
    ), f"{owner}.{name} stands in docs/contract.md without its parameters {parameters}"


@pytest.mark.parametrize("name", PAGES_WITH_PLUGINS)
def test_every_python_example_is_a_plugin(name):
    examples = [block for block in blocks(page(name)) if block.language == "python"]
    # Tests are run by pytest, as the page says: test_doc_commands.py.
    examples = [block.text for block in examples if not (block.file or "").startswith("test_")]
    assert examples
    for text in examples:
        space: dict[str, object] = {"__name__": "example"}
        exec(compile(text, name, "exec"), space)
        classes = [value for value in space.values() if getattr(value, "__module__", "") == "example"]
        assert classes, text
        for example_class in classes:
            assert describe(example_class)["api"] == douane_plugin.API_LEVEL


def test_the_readme_and_the_package_show_the_same_first_plugin():
    def without_comments(name):
        (first, *_) = [block.text for block in blocks(page(name)) if "class BootSector" in block.text]
        return re.sub(r"  #.*", "", first)

    assert without_comments("README.md") == without_comments("sdk/README.md")
