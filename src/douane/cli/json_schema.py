"""A plugin's configuration as JSON Schema (2020-12), from how its parameters describe themselves."""

from __future__ import annotations

import ast
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
    """The schema of the table `config` of a plugin. A type that JSON has not is any value: the plugin judges it."""
    properties: dict[str, Any] = {}
    for parameter in parameters:
        found = of_type(str(parameter.get("type") or "anything"))
        if "default" in parameter:
            found = {**found, "default": parameter["default"]}
        if parameter.get("doc"):
            found = {**found, "description": parameter["doc"]}
        properties[str(parameter["name"])] = found
    told: dict[str, Any] = {"$schema": DIALECT, "title": name, "type": "object", "properties": properties}
    if doc:
        told["description"] = doc.partition("\n\n")[0].replace("\n", " ")
    if required := [str(parameter["name"]) for parameter in parameters if parameter.get("required")]:
        told["required"] = required
    told["additionalProperties"] = takes_any
    return told


def of_type(text: str) -> dict[str, Any]:
    """The schema of a type as docs/wire.md spells it: ``int or none``, ``list[str]``, ``'fast' or 'thorough'``."""
    parts = _split(text, " or ")
    if len(parts) > 1:
        choices = [_literal(part) for part in parts]
        if all(choice is not None for choice in choices):
            return {"enum": [value for choice in choices if choice is not None for value in choice]}
        found = [of_type(part) for part in parts]
        return {} if {} in found else {"anyOf": found}
    if (choice := _literal(text)) is not None:
        return {"const": choice[0]}
    if text in _SIMPLE:
        return dict(_SIMPLE[text])
    outer, bracket, inner = text.partition("[")
    if not bracket or not inner.endswith("]"):
        return {}
    items = _split(inner[:-1], ", ")
    if outer in _ARRAYS:
        told: dict[str, Any] = {"type": "array", "items": of_type(items[0])}
        return {**told, "uniqueItems": True} if outer in ("set", "frozenset") else told
    if outer in _OBJECTS and len(items) == 2:
        return {"type": "object", "additionalProperties": of_type(items[1])}
    return {}


def _literal(text: str) -> tuple[Any] | None:
    """The value of a literal in a tuple, None for a type."""
    if text[:1] in "'\"" or text[:1].isdigit() or text[:1] == "-" or text in ("True", "False"):
        try:
            return (ast.literal_eval(text),)
        except (ValueError, SyntaxError):
            return None
    return None


def _split(text: str, separator: str) -> list[str]:
    """`text` at each `separator` that stands in no bracket and in no quotes."""
    parts, begun, depth, quote, at = [], 0, 0, "", 0
    while at < len(text):
        letter = text[at]
        if quote:
            if letter == "\\":
                at += 1
            elif letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
        elif not depth and text.startswith(separator, at):
            parts.append(text[begun:at])
            at += len(separator)
            begun = at
            continue
        at += 1
    return [*parts, text[begun:]]
