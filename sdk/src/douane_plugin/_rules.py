"""Rules for the answers of plugins, which the engine and `douane_plugin.testing` apply.

A plugin process does not import this module.
"""

from __future__ import annotations

import math
import re
from typing import Any, Optional, Sequence, Union

from . import wire
from ._json import dumps

PropertyValue = Union[str, int, float, bool]

_KEY = re.compile(rf"[a-z0-9_]{{1,{wire.MAX_PROPERTY_KEY}}}", re.ASCII)
_PROPOSED = re.compile(rf"[a-zA-Z0-9_.:-]{{1,{wire.MAX_PROPOSED_NAME}}}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


class BadProperties(Exception):
    """Properties that a plugin may not set, or documents that it may not attach. The text names them, and the rule."""


def check_properties(plugin: str, properties: Any) -> dict[str, PropertyValue]:
    """Return the properties of `plugin` by their full names, ``plugin.key``. Raises BadProperties."""
    if not isinstance(properties, dict):
        raise BadProperties(f"properties are a mapping, not {properties!r:.60}")
    if len(properties) > wire.MAX_PROPERTIES:
        raise BadProperties(f"it returned {len(properties)} properties; at most {wire.MAX_PROPERTIES} are allowed")
    by_name: dict[str, PropertyValue] = {}
    for name, value in properties.items():
        key = name[len(plugin) + 1 :] if name.startswith(plugin + ".") else name
        if not _KEY.fullmatch(key):
            outside = "." in key or ":" in key
            raise BadProperties(
                f"property {name!r:.80} is outside its namespace: a plugin sets only its own ({plugin}.*)"
                if outside
                else f"property {name!r:.80}: a key has 1 to {wire.MAX_PROPERTY_KEY} of a-z 0-9 _"
            )
        by_name[f"{plugin}.{key}"] = _check_value(key, value)
    return by_name


def check_documents(documents: Any) -> dict[str, Any]:
    """Return the documents that a plugin attached. Raises BadProperties."""
    if not isinstance(documents, dict):
        raise BadProperties(f"documents are a mapping, not {documents!r:.60}")
    if len(documents) > wire.MAX_DOCUMENTS:
        raise BadProperties(f"it attached {len(documents)} documents; at most {wire.MAX_DOCUMENTS} are allowed")
    for name, document in documents.items():
        if not _KEY.fullmatch(name):
            raise BadProperties(f"document {name!r:.80}: a name has 1 to {wire.MAX_PROPERTY_KEY} of a-z 0-9 _")
        _check_document(name, document, wire.MAX_DOCUMENT_DEPTH)
    size = len(dumps(documents))
    if size > wire.MAX_DOCUMENTS_BYTES:
        raise BadProperties(f"its documents are {size} bytes of JSON; at most {wire.MAX_DOCUMENTS_BYTES} are allowed")
    return dict(documents)


def _check_document(name: str, value: Any, depth: int) -> None:
    if not depth:
        raise BadProperties(f"document {name!r} is nested to more than {wire.MAX_DOCUMENT_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_document(name, key, depth)
            _check_document(name, item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_document(name, item, depth - 1)
    elif isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadProperties(f"document {name!r} holds a NUL or half a surrogate pair, which no catalog can store")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise BadProperties(f"document {name!r} holds {value!r}, which is not a finite number")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        raise BadProperties(f"document {name!r} holds an integer of more than 64 bits")


def _check_value(key: str, value: Any) -> PropertyValue:
    """Return the value; of a text, each run of control characters is a space: others print it."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadProperties(f"property {key!r} holds a NUL or half a surrogate pair, which no catalog can store")
        if len(value) > wire.MAX_PROPERTY_TEXT:
            raise BadProperties(
                f"property {key!r} has {len(value)} characters; at most {wire.MAX_PROPERTY_TEXT} are allowed"
            )
        return _CONTROL.sub(" ", value)
    if not isinstance(value, (bool, int, float)):
        raise BadProperties(f"property {key!r} is {value!r:.60}; it must be a str, int, float or bool")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise BadProperties(f"property {key!r} is an integer of more than 64 bits")
    return value


def check_proposed(may_set: Sequence[str], proposed: Any) -> dict[str, Optional[PropertyValue]]:
    """Return the properties that a plugin proposes outside its namespace. Raises BadProperties.

    `may_set` lists the names that the operator allows; ``*`` at the end of one stands for any rest.
    """
    if not isinstance(proposed, dict):
        raise BadProperties(f"proposed properties are a mapping, not {proposed!r:.60}")
    if len(proposed) > wire.MAX_PROPERTIES:
        raise BadProperties(f"it proposed {len(proposed)} properties; at most {wire.MAX_PROPERTIES} are allowed")
    checked: dict[str, Optional[PropertyValue]] = {}
    for name, value in proposed.items():
        if not _PROPOSED.fullmatch(name):
            raise BadProperties(f"it proposed a property {name!r:.80}; a name has 1 to 255 of a-z A-Z 0-9 _ . : -")
        if not any(_matches(name, pattern) for pattern in may_set):
            allowed = ", ".join(may_set) or "nothing"
            raise BadProperties(f"it proposed the property {name!r}; its 'may_set' lists {allowed}")
        checked[name] = None if value is None else _check_value(name, value)
    return checked


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def clean(text: Any, limit: int = wire.MAX_MESSAGE) -> str:
    """Return a plugin's text as one line of at most `limit` characters, without control characters."""
    line = _CONTROL.sub(" ", text if isinstance(text, str) else "").strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def clean_lines(text: Any, limit: int) -> str:
    """Return a plugin's text without control characters, as lines with their indentation.

    Of a text of more than `limit` characters the end remains: the last line of a traceback says most.
    """
    lines = (text if isinstance(text, str) else "")[-limit:].splitlines()
    return "\n".join(line[: len(line) - len(line.lstrip(" "))] + clean(line, limit) for line in lines)
