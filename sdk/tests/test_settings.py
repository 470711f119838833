"""The configuration is the constructor: what fits, what does not, and what the operator is told."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, Optional, Union

import pytest

from douane_plugin import Inspector
from douane_plugin._settings import SettingError, arguments, parameters


class Everything(Inspector):
    def __init__(
        self,
        text: str,
        number: int = 3,
        ratio: float = 0.5,
        flag: bool = False,
        names: List[str] = [],  # noqa: B006
        table: Optional[Dict[str, int]] = None,
        level: Literal["fast", "thorough"] = "fast",
        either: Union[int, str] = 1,
        guessed=7,
        anything=None,
    ):
        pass


GOOD = {
    "number": [0, -1],
    "ratio": [1, 1.5],
    "flag": [True],
    "names": [[], ["a"]],
    "table": [{"a": 1}, {}],
    "level": ["thorough"],
    "either": [3, "x"],
    "guessed": [9],
    "anything": [1, "x", [1], {"a": {}}],
}
BAD = {
    "text": [1, True, ["a"], 1.0],
    "number": ["3", 1.5, True],
    "ratio": ["x", True],
    "flag": [1, "true"],
    "names": ["a", [1], {"a": 1}],
    "table": [[1], {"a": "x"}, "x"],
    "level": ["slow", 1],
    "either": [1.5, [1]],
    "guessed": ["seven"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in GOOD.items() for value in values])
def test_a_value_of_the_right_type_reaches_the_constructor(key, value):
    assert arguments(Everything, {"text": "t", key: value}, {})[key] == value


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_value_of_another_type_is_refused_and_named(key, value):
    with pytest.raises(SettingError, match=repr(key)) as error:
        arguments(Everything, {"text": "t", key: value}, {})
    assert error.value.key == key


def test_an_int_becomes_a_float_where_one_is_expected():
    assert isinstance(arguments(Everything, {"text": "t", "ratio": 2}, {})["ratio"], float)


def test_an_unknown_key_is_refused_with_the_names_of_all_settings():
    with pytest.raises(SettingError, match=r"'txt' is not a setting.*text, number"):
        arguments(Everything, {"text": "t", "txt": "x"}, {})


def test_a_missing_value_is_refused_and_its_type_named():
    with pytest.raises(SettingError, match=r"'text' \(str\) is required"):
        arguments(Everything, {}, {})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("text", "5500", "5500"),
        ("number", "12", 12),
        ("ratio", "2", 2.0),
        ("flag", "true", True),
        ("names", '["a", "b"]', ["a", "b"]),
        ("table", '{"a": 1}', {"a": 1}),
        ("level", "thorough", "thorough"),
        ("either", "5", "5"),
        ("anything", "free text", "free text"),
    ],
)
def test_a_text_from_the_command_line_takes_the_type_of_its_parameter(key, text, value):
    assert arguments(Everything, {"text": "t"}, {key: text})[key] == value


def test_a_text_that_does_not_fit_is_refused():
    with pytest.raises(SettingError, match="'number' must be int"):
        arguments(Everything, {"text": "t"}, {"number": "many"})


def test_a_class_without_a_constructor_takes_nothing():
    class Plain(Inspector):
        pass

    assert arguments(Plain, {}, {}) == {}
    with pytest.raises(SettingError, match="takes no configuration"):
        arguments(Plain, {"a": 1}, {})


def test_a_dataclass_is_configured_like_other_classes():
    @dataclass
    class Data(Inspector):
        depth: int
        name: str = "x"

    assert arguments(Data, {"depth": 1}, {}) == {"depth": 1}
    with pytest.raises(SettingError, match="'depth' must be int"):
        arguments(Data, {"depth": "1"}, {})


def test_a_constructor_with_keywords_takes_any_key():
    class Loose(Inspector):
        def __init__(self, a: int = 1, **rest):
            pass

    assert arguments(Loose, {"b": "x"}, {"c": "y"}) == {"b": "x", "c": "y"}


def test_a_type_that_only_type_checkers_see_is_not_checked():
    class Late(Inspector):
        def __init__(self, path: "OnlyForTypeCheckers" = None):  # noqa: F821
            pass

    assert arguments(Late, {"path": 1}, {}) == {"path": 1}


if sys.version_info >= (3, 10):  # the syntax of 3.10

    def test_unions_written_with_a_bar():
        scope: Dict[str, Any] = {"Inspector": Inspector}
        exec("class New(Inspector):\n    def __init__(self, a: int | None = None, b: list[str] = []): pass", scope)
        assert arguments(scope["New"], {"a": None, "b": ["x"]}, {}) == {"a": None, "b": ["x"]}
        with pytest.raises(SettingError, match="'a' must be int or none"):
            arguments(scope["New"], {"a": "x"}, {})


def test_parameters_are_described():
    described = [parameter.describe() for parameter in parameters(Everything)[0]]
    assert described[0] == {"name": "text", "type": "str", "required": True}
    assert described[1] == {"name": "number", "type": "int", "required": False, "default_text": "3", "default": 3}
    assert described[6]["type"] == "'fast' or 'thorough'"
    assert described[5]["type"] == "dict[str, int] or none"


def test_a_mapping_is_a_table():
    class Mapped(Inspector):
        def __init__(self, rules: Mapping[str, str]):
            pass

    assert arguments(Mapped, {"rules": {"a": "b"}}, {}) == {"rules": {"a": "b"}}
    with pytest.raises(SettingError):
        arguments(Mapped, {"rules": ["a"]}, {})
