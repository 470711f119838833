"""Say which value of a configuration is wrong, and what is expected there, in the words of TOML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from msgspec import inspect

_KINDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "an integer",
    "object": "a table",
    "str": "a string",
}
_EXPECTED = re.compile(r"Expected `([a-z |]+)`(?:, got `([a-z]+)`)?")
_NO_CHOICE = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_SHOWN = 60
"""Characters of a value in a sentence."""


def wrong_value(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> tuple[str, str]:
    """The key of the wrong value, with the place in its list (``only[0]``), and what is wrong with it.

    `error` is that of the conversion of a table to `kind`. msgspec names the library's types (``Expected `array |
    null`, got `int```), and of values that may be few, not one (``Invalid enum value 'x'``).
    """
    reason, _, path = str(error).partition(" - at `$.")
    path = path.rstrip("`").replace("[...]", "")
    if match := _EXPECTED.fullmatch(reason):
        kinds = [_KINDS.get(name, name) for name in match[1].split(" | ") if name != "null"]  # TOML has no null
        words = f"expected {_choices(kind, path) or ' or '.join(kinds)}"
        if match[2] is not None:
            words += f", got {_KINDS.get(match[2], match[2])}"
    elif match := _NO_CHOICE.fullmatch(reason):
        words = f"expected {_choices(kind, path) or 'another value'}, not {match[1]:.{_SHOWN}}"
    else:
        words = reason[0].lower() + reason[1:]
    return path or "it", words


def _choices(kind: type[msgspec.Struct], path: str) -> str | None:
    """What may stand at `path`, as the struct describes it (`msgspec.Meta`); otherwise its values, if they are few."""
    from msgspec import inspect  # takes time to import, and nothing is wrong as a rule

    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType), "a table is read as a struct"
    key, *places = path.split("[")
    field = next((field.type for field in described.fields if field.encode_name == key), None)
    if field is None:
        return None
    for _ in places:
        field = next((part.item_type for part in _parts(field) if isinstance(part, _list_types())), None)
        if field is None:
            return None
    if isinstance(field, inspect.Metadata) and field.extra_json_schema:
        description = field.extra_json_schema.get("description")
        return None if description is None else str(description)
    parts = list(_parts(field))
    values = [repr(value) for part in parts if isinstance(part, inspect.LiteralType) for value in part.values]
    return _or(values) if values and all(isinstance(part, inspect.LiteralType) for part in parts) else None


def _parts(described: inspect.Type) -> Iterator[inspect.Type]:
    """The types that a value may have, without null."""
    from msgspec import inspect

    if isinstance(described, inspect.Metadata):
        yield from _parts(described.type)
    elif isinstance(described, inspect.UnionType):
        for part in described.types:
            yield from _parts(part)
    elif not isinstance(described, inspect.NoneType):
        yield described


def _list_types() -> tuple[type[inspect.ListType], type[inspect.VarTupleType]]:
    from msgspec import inspect

    return inspect.ListType, inspect.VarTupleType


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
