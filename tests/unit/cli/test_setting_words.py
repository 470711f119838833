"""What the documentation of a plugin says of its settings is found, in the forms that people write it in."""

from __future__ import annotations

import importlib
import inspect

import pytest

from douane.cli.setting_words import setting_words
from douane.plan.builtin import BUILT_IN


@pytest.mark.parametrize(
    "doc",
    [
        "``depth`` (int): how deep it looks.",
        "``depth`` (int, or str such as ``'3 layers'`` (or more); 3)\n    how deep\n    it looks.",
        "``other`` (int), ``depth`` (int; 3)\n    how deep it looks.\n\n    Not this.",
        "- ``depth``: how deep it looks.",
        ":param depth: how deep it looks.",
        ":param int depth: how deep\n    it looks.",
        "Args:\n    depth: how deep\n        it looks.\n    other: not this.",
        "Args:\n    depth (int, optional): how deep it looks.",
        "Parameters\n----------\ndepth : int, optional\n    how deep it looks.\nother : int\n    Not this.",
    ],
)
def test_the_words_are_found(doc: str) -> None:
    assert setting_words(f"Looks.\n\n{doc}\n", ["depth"]) == {"depth": "how deep it looks."}


@pytest.mark.parametrize(
    "doc",
    [
        "",
        "depth is not looked at.",
        "Of depth: nothing.",
        "depths: many",
        "``depth`` is what\n    it looks at.",
        ":param depths: many",
        ":raises depth: never",
    ],
)
def test_where_nothing_is_said_nothing_is_made_up(doc: str) -> None:
    assert setting_words(doc, ["depth"]) == {}


@pytest.mark.parametrize("use", [use for name, use in BUILT_IN.items() if name != "ova-any-order"])
def test_all_settings_of_what_comes_with_douane_are_explained(use: str) -> None:
    module, _, attribute = use.partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    names = list(inspect.signature(cls).parameters)
    assert set(setting_words(inspect.cleandoc(cls.__doc__), names)) == set(names)
