"""JSON Schemas of configurations and of their types."""

from __future__ import annotations

from typing import Any

import pytest

from douane.cli.json_schema import of_type, schema


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("anything", {}),
        ("int or str or none", {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        (
            "dict[str, list[int]]",
            {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}},
        ),
        ("'a or b' or \"c'd\" or 5", {"enum": ["a or b", "c'd", 5]}),
        ("'only'", {"const": "only"}),
        ("set[str]", {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        ("Path", {}),
        ("Path or int", {}),
    ],
)
def test_types_become_schemas(text: str, expected: dict[str, Any]) -> None:
    assert of_type(text) == expected


def test_a_plugin_that_takes_anything_says_so() -> None:
    assert schema("x", "", [], takes_any=True)["additionalProperties"] is True
