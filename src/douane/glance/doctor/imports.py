"""The import plugin: whether Glance runs it, and what else it runs. What is missing or broken, Glance leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

from douane.glance.guard.import_guard import GROUP, NAME, why_not_run

from .points import Point, advice, ok, wrong
from .site import Site

_AREA = "import"
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
    """The list of plugins, and each of it; fills `site`."""
    methods = list(site.conf.enabled_import_methods or ())
    names = list(site.conf.image_import_opts.image_import_plugins)
    if not [each for each in methods if each != "copy-image"]:
        yield ok(_AREA, "methods", "no import of new images is enabled; the plugin is not needed")
    told = why_not_run()
    if told is not None:
        yield from _missing(site, told, methods)
    elif names.count(NAME) > 1:
        yield wrong(_AREA, "plugin", f"{NAME} is named {names.count(NAME)} times", "name it once")
    else:
        site.is_imported = True
        yield ok(_AREA, "plugin", f"{NAME} is configured, and can be loaded")
    there = {each.name for each in metadata.entry_points(group=GROUP)}
    for name in dict.fromkeys(names):
        if name != NAME:
            yield from _other(names, name, is_there=name in there)


def _missing(site: Site, told: str, methods: list[str]) -> Iterator[Point]:
    what, _, remedy = told.rpartition(": ") if ": write " in told else (told, "", "")
    if not [each for each in methods if each != "copy-image"]:
        return
    fetched = [each for each in methods if each in ("web-download", "glance-download")]
    if site.settings is not None and not site.settings.imports and not fetched:
        yield advice(_AREA, "plugin", what or told, remedy or "the filter alone sees what is staged: no transforms")
        return
    yield wrong(_AREA, "plugin", what or told, remedy or "Glance goes on without it, and says so only in its log")


def _other(names: list[str], name: str, *, is_there: bool) -> Iterator[Point]:
    if not is_there:
        yield advice(
            _AREA, name, "it is not installed here: Glance leaves it out, silently", "take it out, or install it"
        )
    elif name in _HARMLESS:
        yield ok(_AREA, name, "it changes no image data")
    elif NAME not in names:
        return
    elif name not in _CHANGES:
        yield advice(
            _AREA,
            name,
            "a plugin of others: what it does is not known here",
            "if it changes the image, what is stored is not what was checked",
        )
    elif names.index(name) > names.index(NAME):
        yield wrong(
            _AREA,
            name,
            f"it {_CHANGES[name]} the image after it was checked: what is stored was not",
            f"take it out; in the plan, {_INSTEAD[name]} does the same in a cage",
        )
    else:
        yield advice(
            _AREA,
            name,
            f"it {_CHANGES[name]} the image before it is checked, in Glance's process or outside of any cage",
            f"take it out; in the plan, {_INSTEAD[name]} does the same in a cage",
        )
