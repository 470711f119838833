"""The filter's place in the paste pipeline that Glance uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from douane.glance.filter import filter_factory

from .points import Area, Point
from .site import Site

_AREA = Area("pipeline")
_CONTEXTS = ("ContextMiddleware", "UnauthenticatedContextMiddleware")
_CACHES = ("CacheFilter", "CacheManageFilter")
_SECTION = (
    "[filter:douane]\npaste.filter_factory = douane.glance.filter:filter_factory\nconfig = /etc/douane/douane.toml"
)


def examine(site: Site, paste: str | None) -> Iterator[Point]:
    """Yield points for the paste file, the pipeline of the configured flavor, and the filter's place.

    Sets `site.filter_options` and `site.is_filtered`.
    """
    from glance.common import config

    try:
        path = os.path.abspath(paste) if paste is not None else str(config._get_deployment_config_file())
        section, key, names, app = _pipeline(path, site.conf.paste_deploy.flavor)
    except Exception as error:  # whatever paste.deploy raises for a file that it cannot use
        yield _AREA.wrong(
            "paste file", f"it cannot be used: {error}", "fix it; --paste FILE, or [paste_deploy], names it"
        )
        return
    yield _AREA.ok("paste file", f"{path}, [{section}], {key}")
    try:
        contexts = [_filter(path, name) for name in names]
    except Exception as error:  # whatever the import of a filter's factory raises
        yield _AREA.wrong("filters", f"a filter cannot be loaded: {error}", "fix it: Glance would not start")
        return
    places = [place for place, context in enumerate(contexts) if context.object is filter_factory]
    line = " ".join([*names, app])
    if not places:
        correct_line = _correct_line(names, contexts, "douane", f"{key} =", app)
        yield _AREA.wrong(
            "filter",
            f"Douane's filter is not in it: {line}",
            f"in {path}, [{section}]: `{correct_line}`; and\n{_SECTION}",
        )
        return
    site.filter_options = {str(name): str(value) for name, value in contexts[places[0]].local_conf.items()}
    if len(places) > 1:
        yield _AREA.wrong("filter", f"Douane's filter is in it {len(places)} times: {line}", "keep one of them")
        return
    yield _check_place(site, names, contexts, places[0], f"{path}, [{section}]", key, app)


def _check_place(
    site: Site, names: list[str], contexts: list[Any], place: int, where: str, key: str, app: str
) -> Point:
    remedy = f"in {where}: `{_correct_line(names, contexts, names[place], f'{key} =', app)}`"
    line = " ".join([*names, app])
    user_places = [number for number, context in enumerate(contexts) if _class_name(context) in _CONTEXTS]
    if not user_places:
        site.is_filtered = True
        return _AREA.advice(
            "filter", f"the pipeline has no filter of Glance's that determines the user: {line}", "look at it"
        )
    user_place = user_places[-1]
    if place < user_place:
        fact = f"the filter is before {names[user_place]}, where the user is not known yet: {line}"
        return _AREA.wrong("filter", fact, remedy)
    if any(_class_name(context) in _CACHES for context in contexts[:place]):
        return _AREA.wrong("filter", f"the filter is behind the cache: {line}", remedy)
    site.is_filtered = True
    if place != user_place + 1:
        between = ", ".join(names[user_place + 1 : place])
        fact = f"{between} is between {names[user_place]} and the filter"
        return _AREA.advice("filter", fact, f"if there is no reason for it, {remedy}")
    return _AREA.ok("filter", f"{names[place]} is directly behind {names[user_place]}")


def _correct_line(names: list[str], contexts: list[Any], filter_name: str, key: str, app: str) -> str:
    """The line to write: the other filters as they are, ours directly behind the last one that determines the user."""
    line: list[str] = []
    place = 0
    for name, context in zip(names, contexts, strict=True):
        if context.object is filter_factory:
            continue
        line.append(name)
        if _class_name(context) in _CONTEXTS:
            place = len(line)
    line.insert(place or len(line), filter_name)
    return " ".join([key, *line, app])


def _pipeline(path: str, flavor: str | None) -> tuple[str, str, list[str], str]:
    """The section and the key that define the pipeline, its filters, and its application.

    Raises what paste.deploy raises.
    """
    from paste.deploy import loadwsgi

    name = "glance-api" + (f"-{flavor}" if flavor else "")
    context = loadwsgi.loadcontext(loadwsgi.APP, f"config:{path}", name=name)
    section = name
    for _ in range(5):
        if context.object_type is loadwsgi.PIPELINE:
            *names, app = _of_pipeline_section(path, section)
            return f"pipeline:{section}", "pipeline", names, app
        local = context.local_conf
        factory = getattr(context.object, "__name__", "")
        if factory == "pipeline_factory":
            key = flavor or "default"
            *names, app = local[key].split()
            return f"composite:{section}", key, names, app
        if "/" not in local:
            break
        section = local["/"]
        context = loadwsgi.loadcontext(loadwsgi.APP, f"config:{path}", name=section)
    raise LookupError(f"{name} leads to no pipeline")


def _of_pipeline_section(path: str, name: str) -> list[str]:
    from paste.deploy import loadwsgi

    parser = loadwsgi.ConfigLoader(path).parser
    return str(parser.get(f"pipeline:{name}", "pipeline")).split()


def _filter(path: str, name: str) -> Any:
    """paste.deploy's context of a filter: `object` is the filter's factory, `local_conf` its settings."""
    from paste.deploy import loadwsgi

    return loadwsgi.loadcontext(loadwsgi.FILTER, f"config:{path}", name=name)


def _class_name(context: Any) -> str:
    """The name of the class whose classmethod ``factory`` a filter's factory is."""
    return str(getattr(getattr(context.object, "__self__", None), "__name__", ""))
