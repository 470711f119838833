"""Which plugin of a plan a command is about."""

from __future__ import annotations

from douane.engine import PlanError, PluginSpec, load_plan


def plugin_of_plan(config: str, name: str | None) -> PluginSpec:
    """The plugin `name` of the plan in the file `config`; the only one, if there is no name. Raises PlanError."""
    plugins = load_plan(config).plugins
    if name is None and len(plugins) == 1:
        return plugins[0]
    for plugin in plugins:
        if plugin.name == name:
            return plugin
    have = ", ".join(plugin.name for plugin in plugins)
    asked = "which plugin is meant? " if name is None else f"there is no plugin {name!r} in it; "
    raise PlanError(f"{config}: {asked}--name takes one of: {have}")
