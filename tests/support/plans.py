"""Plans of the plugins in tests/caged/engine/plugins."""

from __future__ import annotations

from pathlib import Path

PLUGINS = Path(__file__).parents[1] / "caged" / "engine" / "plugins"


def plan_of(*plugins: str, **keys: object) -> str:
    """TOML for plugins of tests/caged/engine/plugins (``file:Class``), each with the same further keys."""
    lines = []
    for use in plugins:
        file, _, name = use.partition(":")
        lines += ["[[plugin]]", f'name = "{name.lower()}"', f'use = "{PLUGINS}/{file}.py:{name}"']
        lines += [f"{key} = {value!r}".replace("'", '"') for key, value in keys.items()]
    return "\n".join(lines)
