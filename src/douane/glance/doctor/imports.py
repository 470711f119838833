"""The import plugins: whether Glance runs ours, and which others. Glance omits a plugin that is missing or broken."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from douane.glance.guard.import_guard import COPY, GROUP, NAME, plugin_problem

from .points import Area, Point
from .site import Site

_AREA = Area("import")
_HARMLESS = ("no_op", "inject_image_metadata")
_CHANGES = {
    "image_decompression": "unpacks",
    "image_conversion": "converts",
}
_INSTEAD = {
    "image_decompression": 'use = "decompress"',
    "image_conversion": 'use = "convert"',
}


def examine(site: Site) -> Iterator[Point]:
    """Yield a point for our plugin, and one for each other; sets `site.runs_plugin`."""
    methods = [method for method in site.conf.enabled_import_methods or () if method != COPY]
    names = list(site.conf.image_import_opts.image_import_plugins)
    if not methods:
        yield _AREA.ok("methods", "no import of new images is enabled; the plugin is not needed")
    problem = plugin_problem()
    if problem is None and names.count(NAME) > 1:
        yield _AREA.wrong("plugin", f"{NAME} is named {names.count(NAME)} times", "name it once")
    elif problem is None:
        site.runs_plugin = True
        yield _AREA.ok("plugin", f"{NAME} is configured, and can be loaded")
    elif methods:
        yield _missing(site, problem, methods)
    installed = {entry_point.name for entry_point in metadata.entry_points(group=GROUP)}
    for name in dict.fromkeys(names):
        if name != NAME:
            yield from _other_plugin(names, name, is_installed=name in installed)


def _missing(site: Site, problem: str, methods: list[str]) -> Point:
    fact, _, remedy = problem.rpartition(": ") if ": write " in problem else (problem, "", "")
    downloads = [method for method in methods if method in ("web-download", "glance-download")]
    if site.settings is not None and not site.settings.guard_imports and not downloads:
        return _AREA.advice("plugin", fact, remedy or "the filter alone inspects staged images: no transforms")
    return _AREA.wrong("plugin", fact, remedy or "Glance goes on without it, and says so only in its log")


def _other_plugin(names: list[str], name: str, *, is_installed: bool) -> Iterator[Point]:
    if not is_installed:
        yield _AREA.advice(
            name, "it is not installed here: Glance leaves it out, silently", "take it out, or install it"
        )
    elif name in _HARMLESS:
        yield _AREA.ok(name, "it changes no image data")
    elif NAME not in names:
        return
    elif name not in _CHANGES:
        yield _AREA.advice(
            name,
            "not a plugin of Douane or Glance: its effect is not known here",
            "if it changes the image, other bytes are stored than were checked",
        )
    elif names.index(name) > names.index(NAME):
        yield _AREA.wrong(
            name,
            f"it {_CHANGES[name]} the image after it was checked: other bytes are stored than were checked",
            f"take it out; in the plan, {_INSTEAD[name]} does the same in a sandbox",
        )
    else:
        yield _AREA.advice(
            name,
            f"it {_CHANGES[name]} the image before it is checked, in Glance's process or without a sandbox",
            f"take it out; in the plan, {_INSTEAD[name]} does the same in a sandbox",
        )
