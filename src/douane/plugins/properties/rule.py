"""One rule: its conditions, and the properties that it sets or removes, or the refusal."""

from __future__ import annotations

from douane_plugin import Reject

from .condition import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from douane_plugin import Image

    from .condition import Value

DECLARED = ("name", "size", "disk_format", "container_format", "owner", "role")
"""The subjects of a condition, besides ``property.NAME`` and ``PLUGIN.KEY``."""

_PROPERTY = "property."
_KEYS = ("when", "set", "remove", "refuse")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-")
_NAME_LENGTH, _VALUE_LENGTH = 255, 4096


class Rule:
    """A rule from its TOML table; `number` counts from 1. Raises ValueError, which names the rule and the key."""

    def __init__(self, table: Any, number: int) -> None:
        subject = f"rule {number}"
        if not isinstance(table, dict):
            raise ValueError(f"{subject} is a table such as {{ when = {{}}, set = {{}} }}, not {table!r:.60}")
        for key in table:
            if key not in _KEYS:
                raise ValueError(f"{subject}: {key!r:.60} is not known; a rule has {', '.join(_KEYS)}")
        when = _table(table, "when", subject)
        self.set: dict[str, Value] = _table(table, "set", subject)
        self.remove: list[str] = table.get("remove", [])
        if not isinstance(self.remove, list):
            raise ValueError(f"{subject}: 'remove' is a list of names, not {self.remove!r:.60}")
        for key, names in (("set", self.set), ("remove", self.remove)):
            for name in names:
                _check_name(name, f"{subject}: {key!r}")
        for name, value in self.set.items():
            if not isinstance(value, str | int | float | bool) or len(str(value)) > _VALUE_LENGTH:
                raise ValueError(
                    f"{subject}: 'set' {name} is a text of at most {_VALUE_LENGTH} characters, a number, true or "
                    f"false, not {value!r:.60}"
                )
        conflicts = [name for name in self.remove if name in self.set]
        if conflicts:
            raise ValueError(f"{subject} both sets and removes {conflicts[0]}")
        self.refusal = _refusal(table, subject)
        if not (self.set or self.remove or self.refusal):
            raise ValueError(f"{subject} does nothing: write 'set', 'remove' or 'refuse' in it")
        self._conditions = [(key, _condition(key, value, subject)) for key, value in when.items()]

    def holds(self, image: Image) -> bool:
        """True if all conditions hold."""
        return all(condition.holds(_values(image, key)) for key, condition in self._conditions)


def _condition(key: str, value: object, subject: str) -> Condition:
    if key not in DECLARED and not 0 < key.find(".") < len(key) - 1:
        raise ValueError(
            f"{subject}: 'when' has {key!r:.60}, which is not known; write one of {', '.join(DECLARED)}, property.NAME "
            "for a declared property, or PLUGIN.KEY for a plugin's finding"
        )
    return Condition(value, f"{subject}: {key}")


def _values(image: Image, key: str) -> tuple[Value, ...]:
    if key == "role":
        return image.roles
    value: Value | None
    if key in DECLARED:
        value = getattr(image, key)
    elif key.startswith(_PROPERTY):
        value = image.properties.get(key[len(_PROPERTY) :])
    else:
        value = image.findings.get(key)
    return () if value is None else (value,)


def _table(table: dict[str, Any], key: str, subject: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{subject}: {key!r} is a table, not {value!r:.60}")
    return value


def _check_name(name: object, subject: str) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH or not _LETTERS.issuperset(name):
        raise ValueError(f"{subject} has {name!r:.60}; a property's name is 1 to 255 of a-z A-Z 0-9 _ . : -")


def _refusal(table: dict[str, Any], subject: str) -> Reject | None:
    refusal = table.get("refuse")
    if refusal is None:
        return None
    if not isinstance(refusal, dict) or set(refusal) != {"code", "message"}:
        raise ValueError(f"{subject}: 'refuse' is a table of 'code' and 'message', not {refusal!r:.60}")
    try:
        return Reject(refusal["code"], refusal["message"])
    except ValueError as error:
        raise ValueError(f"{subject}: 'refuse': {error}") from error
