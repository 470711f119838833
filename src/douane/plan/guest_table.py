"""Read the table ``[guest]`` of a plan: the bounds of the reader of files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from douane.errors import PlanError
from douane.units import parse_duration, parse_size

from .model import GuestBounds
from .plugin_table import MIN_MEMORY, converted
from .wrong_value import wrong_value

MAX_DEPTH = 1000
MAX_ENTRIES = 1_000_000_000


class GuestTable(msgspec.Struct, forbid_unknown_fields=True):
    """The table as it is written: None where a default applies."""

    entries: int | None = None
    depth: int | None = None
    delivered: str | int | None = None
    memory: str | int | None = None
    stall: str | float | None = None
    timeout: str | float | None = None


def read_guest(table: Mapping[str, Any], where: str) -> GuestBounds:
    """The bounds in a table that has no other keys than :class:`GuestTable`. Raises PlanError."""
    try:
        raw = msgspec.convert(table, GuestTable)
    except msgspec.ValidationError as error:
        key, words = wrong_value(error, GuestTable)
        raise PlanError(f"{where}: [guest] {key!r} is wrong: {words}") from error
    bounds: dict[str, Any] = {}
    for key, most in (("entries", MAX_ENTRIES), ("depth", MAX_DEPTH)):
        if (value := getattr(raw, key)) is not None:
            if not 1 <= value <= most:
                raise PlanError(f"{where}: [guest] {key!r} is at least 1 and at most {most}, not {value!r}")
            bounds[key] = value
    for key in ("delivered", "memory"):
        if (value := getattr(raw, key)) is not None:
            bounds[key] = converted(parse_size, value, f"{where}: [guest] {key!r}")
    for key in ("stall", "timeout"):
        if (value := getattr(raw, key)) is not None:
            bounds[key] = converted(parse_duration, value, f"{where}: [guest] {key!r}")
    if bounds.get("memory", MIN_MEMORY) < MIN_MEMORY:
        raise PlanError(f"{where}: [guest] 'memory' is at least 32MiB: a Python needs that before it reads anything")
    return GuestBounds(**bounds)
