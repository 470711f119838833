"""As much of JSON Schema as the schemas of the Image API use, to check documents against them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),), "string": (str,), "boolean": (bool,), "integer": (int,), "array": (list,), "object": (dict,),
}  # fmt: skip
KEYWORDS = frozenset({
    "type", "enum", "maxLength", "pattern", "items", "properties", "additionalProperties", "required", "description",
    "readOnly", "name", "links", "is_base",
})  # fmt: skip


def violations(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Where `value` does not fit. A keyword that this function does not know is a violation, too."""
    if unknown := schema.keys() - KEYWORDS:
        yield f"{path}: the schema has {sorted(unknown)}"
    words = schema.get("type", "object" if "properties" in schema else [])
    types = [words] if isinstance(words, str) else words
    if types and not any(_is(value, word) for word in types):
        yield f"{path}: {value!r} is not {words}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            yield f"{path}: too long"
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{path}: {value!r} does not match"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), f"{path}/{index}")
    if isinstance(value, dict):
        yield from (f"{path}: {name} is missing" for name in schema.get("required", []) if name not in value)
        for name, item in value.items():
            rest = schema.get("additionalProperties", {})
            yield from violations(item, schema.get("properties", {}).get(name, rest), f"{path}/{name}")


def _is(value: Any, word: str) -> bool:
    return isinstance(value, _TYPES[word]) and not (word == "integer" and isinstance(value, bool))
