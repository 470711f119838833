"""Convert the settings of a plugin, as the plugin describes them, to JSON Schema (2020-12)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SIMPLE = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "none": {"type": "null"},
    "None": {"type": "null"},
    "NoneType": {"type": "null"},
    "anything": {},
    "list": {"type": "array"},
    "dict": {"type": "object"},
}
_ARRAYS = ("list", "tuple", "set", "frozenset", "Sequence", "Iterable", "Collection")
_OBJECTS = ("dict", "Mapping", "MutableMapping")


def schema(name: str, doc: str, parameters: list[dict[str, Any]], *, takes_any: bool) -> dict[str, Any]:
    """The schema of a plugin's `config` table. Types that JSON does not have allow any value."""
    properties: dict[str, Any] = {}
    for parameter in parameters:
        entry = of_type(str(parameter.get("type") or "anything"))
        if "default" in parameter:
            entry = {**entry, "default": parameter["default"]}
        properties[str(parameter["name"])] = entry
    table: dict[str, Any] = {"$schema": DIALECT, "title": name, "type": "object", "properties": properties}
    if doc:
        table["description"] = doc.partition("\n\n")[0].replace("\n", " ")
    if required := [str(parameter["name"]) for parameter in parameters if parameter.get("required")]:
        table["required"] = required
    table["additionalProperties"] = takes_any
    return table


def of_type(text: str) -> dict[str, Any]:
    """The schema of a type as docs/wire.md spells it: ``int or none``, ``list[str]``, ``'fast' or 'thorough'``."""
    parts = list(_split(text, " or "))
    if len(parts) > 1:
        choices = [_literal(part) for part in parts]
        if all(choice is not None for choice in choices):
            return {"enum": [value for choice in choices if choice is not None for value in choice]}
        alternatives = [of_type(part) for part in parts]
        return {} if {} in alternatives else {"anyOf": alternatives}
    if (choice := _literal(text)) is not None:
        return {"const": choice[0]}
    if text in _SIMPLE:
        return dict(_SIMPLE[text])
    outer, bracket, inner = text.partition("[")
    if not bracket or not inner.endswith("]"):
        return {}
    arguments = list(_split(inner[:-1], ", "))
    if outer in _ARRAYS:
        array: dict[str, Any] = {"type": "array", "items": of_type(arguments[0])}
        return {**array, "uniqueItems": True} if outer in ("set", "frozenset") else array
    if outer in _OBJECTS and len(arguments) == 2:
        return {"type": "object", "additionalProperties": of_type(arguments[1])}
    return {}


def _literal(text: str) -> tuple[Any] | None:
    """The value of a literal, in a tuple; None for a type."""
    if text[:1] in "'\"" or text[:1].isdigit() or text[:1] == "-" or text in ("True", "False"):
        try:
            return (ast.literal_eval(text),)
        except (ValueError, SyntaxError):
            return None
    return None


def _split(text: str, separator: str) -> Iterator[str]:
    """Split `text` at each `separator` outside brackets and quotes."""
    start, depth, quote, index = 0, 0, "", 0
    while index < len(text):
        letter = text[index]
        if quote:
            if letter == "\\":
                index += 1
            elif letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
        elif not depth and text.startswith(separator, index):
            yield text[start:index]
            index += len(separator)
            start = index
            continue
        index += 1
    yield text[start:]
