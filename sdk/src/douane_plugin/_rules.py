"""What a plugin may say: the rules that the engine holds its answers to, and the author's test kit with it.

Not imported when a plugin starts.
"""

from __future__ import annotations

import re
from typing import Any, Optional, Sequence, Union

from . import wire

PropertyValue = Union[str, int, float, bool]

_KEY = re.compile(rf"[a-z0-9_]{{1,{wire.MAX_PROPERTY_KEY}}}", re.ASCII)
_PROPOSED = re.compile(rf"[a-zA-Z0-9_.:-]{{1,{wire.MAX_PROPOSED_NAME}}}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


class BadProperties(Exception):
    """Properties that a plugin may not set; the text says which and why."""


def check_properties(plugin: str, given: Any) -> dict[str, PropertyValue]:
    """The properties of `plugin` under their full names, ``plugin.key``. Raises BadProperties."""
    if not isinstance(given, dict):
        raise BadProperties(f"properties are a mapping, not {given!r:.60}")
    if len(given) > wire.MAX_PROPERTIES:
        raise BadProperties(f"it returned {len(given)} properties; at most {wire.MAX_PROPERTIES} are allowed")
    named: dict[str, PropertyValue] = {}
    for full, value in given.items():
        key = full[len(plugin) + 1 :] if full.startswith(plugin + ".") else full
        if not _KEY.fullmatch(key):
            outside = "." in key or ":" in key
            raise BadProperties(
                f"property {full!r:.80} is outside its namespace: a plugin sets only its own ({plugin}.*)"
                if outside
                else f"property {full!r:.80}: a key has 1 to {wire.MAX_PROPERTY_KEY} of a-z 0-9 _"
            )
        _check_value(key, value)
        named[f"{plugin}.{key}"] = value
    return named


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadProperties(f"property {key!r} holds a NUL or half a surrogate pair, which no catalog can keep")
        if len(value) > wire.MAX_PROPERTY_TEXT:
            raise BadProperties(
                f"property {key!r} has {len(value)} characters; at most {wire.MAX_PROPERTY_TEXT} are allowed"
            )
    elif not isinstance(value, (bool, int, float)):
        raise BadProperties(f"property {key!r} is {value!r:.60}; it must be a str, int, float or bool")
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise BadProperties(f"property {key!r} is an integer of more than 64 bits")


def check_proposed(may_set: Sequence[str], given: Any) -> dict[str, Optional[PropertyValue]]:
    """What a plugin proposes outside its namespace, name to value or None. Raises BadProperties.

    `may_set` lists what the operator allows: names, or beginnings of names followed by ``*``.
    """
    if not isinstance(given, dict):
        raise BadProperties(f"what is proposed is a mapping, not {given!r:.60}")
    if len(given) > wire.MAX_PROPERTIES:
        raise BadProperties(f"it proposed {len(given)} properties; at most {wire.MAX_PROPERTIES} are allowed")
    for name, value in given.items():
        if not _PROPOSED.fullmatch(name):
            raise BadProperties(f"it proposed a property {name!r:.80}; a name has 1 to 255 of a-z A-Z 0-9 _ . : -")
        if not any(_listed(name, pattern) for pattern in may_set):
            listed = ", ".join(may_set) or "nothing"
            raise BadProperties(f"it proposed the property {name!r}; its 'may_set' lists {listed}")
        if value is not None:
            _check_value(name, value)
    return dict(given)


def _listed(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def clean(text: Any, limit: int = wire.MAX_MESSAGE) -> str:
    """A plugin's text as it may be shown: one line, no control characters that drive a terminal, bounded."""
    line = _CONTROL.sub(" ", text if isinstance(text, str) else "").strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"
