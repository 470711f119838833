"""The base fields of an image that a request may set, each with its check."""

from collections.abc import Callable, Mapping
from typing import get_args

from . import values
from .records import Visibility

VISIBILITIES: tuple[str, ...] = get_args(Visibility)


def _name(value: object) -> str | None:
    return None if value is None else values.text("the name", value, empty=True)


CHECKS: dict[str, Callable[[object], str | int | bool | None]] = {
    "name": _name,
    "visibility": lambda value: values.one_of("the visibility", value, VISIBILITIES),
    "owner": lambda value: values.optional_text("the owner", value),
    "protected": lambda value: values.flag("protected", value),
    "hidden": lambda value: values.flag("hidden", value),
    "min_disk": lambda value: values.number("min_disk", value),
    "min_ram": lambda value: values.number("min_ram", value),
    "disk_format": lambda value: values.optional_text("the disk format", value, values.FORMAT_LIMIT),
    "container_format": lambda value: values.optional_text("the container format", value, values.FORMAT_LIMIT),
}
"""The check of each field, which returns the column's value or raises BadValue."""

FORMATS = frozenset({"disk_format", "container_format"})


def columns(changes: Mapping[str, object]) -> dict[str, str | int | bool | None]:
    """The columns of the fields in `changes`, checked; every name is one of `CHECKS`."""
    return {name: CHECKS[name](value) for name, value in changes.items()}
