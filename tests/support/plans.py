"""Plans in TOML."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

PLUGINS = Path(__file__).parents[1] / "caged" / "engine" / "plugins"


def toml_value(value: object) -> str:
    """A value as TOML; a dictionary is an inline table."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)


def plugin(use: str, name: str = "", **keys: object) -> str:
    """A ``[[plugin]]`` table, named like the plugin unless `name` is given."""
    lines = ["[[plugin]]", f'name = "{name or use}"', f"use = {toml_value(use)}"]
    return "\n".join([*lines, *(f"{key} = {toml_value(value)}" for key, value in keys.items())]) + "\n"


def plan(*plugins: str, digests: Iterable[str] = ("sha256",)) -> str:
    """A plan of plugins in TOML, with the digests to take."""
    return f"[import]\ndigests = {toml_value(list(digests))}\n" + "".join(plugins)


def plan_of(*plugins: str, **keys: object) -> str:
    """TOML for plugins of tests/caged/engine/plugins (``file:Class``), each with the same further keys."""
    names = (use.partition(":") for use in plugins)
    return "".join(plugin(f"{PLUGINS}/{file}.py:{name}", name.lower(), **keys) for file, _, name in names).rstrip("\n")


def chain(*further: str, digests: Iterable[str] = ("sha256",), **keys: dict[str, object]) -> str:
    """A plan of decompress, ova, convert, format, then `further` plugins; `keys` are those of the plugin so named."""
    names = ("decompress", "ova", "convert", "format")
    return plan(*(plugin(name, **keys.get(name, {})) for name in names), *further, digests=digests)
