"""Where the filter stands in the paste pipeline that Glance uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from douane.glance.filter import filter_factory

from .points import Point, advice, ok, wrong
from .site import Site

_AREA = "pipeline"
_CONTEXTS = ("ContextMiddleware", "UnauthenticatedContextMiddleware")
_CACHES = ("CacheFilter", "CacheManageFilter")
_SECTION = (
    "[filter:douane]\npaste.filter_factory = douane.glance.filter:filter_factory\nconfig = /etc/douane/douane.toml"
)


def examine(site: Site, paste: str | None) -> Iterator[Point]:
    """The paste file, the pipeline of the configured flavor, and the filter's place; fills `site`."""
    from glance.common import config

    try:
        path = os.path.abspath(paste) if paste is not None else str(config._get_deployment_config_file())
        section, key, names, app = _pipeline(path, site.conf.paste_deploy.flavor)
    except Exception as error:  # whatever paste.deploy raises for a file that it cannot use
        yield wrong(
            _AREA, "paste file", f"it cannot be used: {error}", "mend it; --paste FILE, or [paste_deploy], names it"
        )
        return
    yield ok(_AREA, "paste file", f"{path}, [{section}], {key}")
    try:
        contexts = [_filter(path, name) for name in names]
    except Exception as error:
        yield wrong(_AREA, "filters", f"one cannot be loaded: {error}", "Glance would not start: mend it")
        return
    ours = [number for number, each in enumerate(contexts) if each.object is filter_factory]
    line = " ".join([*names, app])
    if not ours:
        wanted = _wanted(names, contexts, "douane", f"{key} =", app)
        yield wrong(
            _AREA,
            "filter",
            f"Douane's filter is not in it: {line}",
            f"in {path}, [{section}]: `{wanted}`; and\n{_SECTION}",
        )
        return
    site.filter_options = {str(name): str(value) for name, value in contexts[ours[0]].local_conf.items()}
    if len(ours) > 1:
        yield wrong(_AREA, "filter", f"Douane's filter is in it {len(ours)} times: {line}", "leave one of them")
        return
    yield _place(site, names, contexts, ours[0], f"{path}, [{section}]", key, app)


def _place(site: Site, names: list[str], contexts: list[Any], at: int, where: str, key: str, app: str) -> Point:
    wanted = _wanted(names, contexts, names[at], f"{key} =", app)
    line = " ".join([*names, app])
    before = [number for number, each in enumerate(contexts) if _class(each) in _CONTEXTS]
    if not before:
        site.is_filtered = True
        return advice(_AREA, "filter", f"no filter of Glance's that makes a context is in it: {line}", "look at it")
    if at < before[-1]:
        return wrong(
            _AREA,
            "filter",
            f"it stands before {names[before[-1]]}, where it is not known yet who asks: {line}",
            f"in {where}: `{wanted}`",
        )
    if any(_class(each) in _CACHES for each in contexts[:at]):
        return wrong(_AREA, "filter", f"it stands behind the cache: {line}", f"in {where}: `{wanted}`")
    site.is_filtered = True
    if at != before[-1] + 1:
        between = ", ".join(names[before[-1] + 1 : at])
        return advice(
            _AREA,
            "filter",
            f"{between} stands between {names[before[-1]]} and it",
            f"if it need not be so, in {where}: `{wanted}`",
        )
    return ok(_AREA, "filter", f"{names[at]} stands directly behind {names[before[-1]]}")


def _wanted(names: list[str], contexts: list[Any], ours: str, key: str, app: str) -> str:
    """The line to write: each as it is, ours directly behind the last context."""
    left: list[str] = []
    place = 0
    for name, each in zip(names, contexts, strict=True):
        if each.object is filter_factory:
            continue
        left.append(name)
        if _class(each) in _CONTEXTS:
            place = len(left)
    left.insert(place or len(left), ours)
    return " ".join([key, *left, app])


def _pipeline(path: str, flavor: str | None) -> tuple[str, str, list[str], str]:
    """The section and the key where it is written, the filters, and the application. Raises what paste.deploy does."""
    from paste.deploy import loadwsgi

    name = "glance-api" + (f"-{flavor}" if flavor else "")
    context = loadwsgi.loadcontext(loadwsgi.APP, f"config:{path}", name=name)
    section = name
    for _ in range(5):
        if context.object_type is loadwsgi.PIPELINE:
            *names, app = _of_pipeline_section(path, section)
            return f"pipeline:{section}", "pipeline", names, app
        local = context.local_conf
        made_by = getattr(context.object, "__name__", "")
        if made_by == "pipeline_factory":
            key = flavor or "default"
            *names, app = local[key].split()
            return f"composite:{section}", key, names, app
        if "/" not in local:
            break
        section = local["/"]
        context = loadwsgi.loadcontext(loadwsgi.APP, f"config:{path}", name=section)
    raise LookupError(f"no pipeline is found behind {name}")


def _of_pipeline_section(path: str, name: str) -> list[str]:
    from paste.deploy import loadwsgi

    parser = loadwsgi.ConfigLoader(path).parser
    return str(parser.get(f"pipeline:{name}", "pipeline")).split()


def _filter(path: str, name: str) -> Any:
    """paste.deploy's context of a filter: `object` is its factory, `local_conf` its settings."""
    from paste.deploy import loadwsgi

    return loadwsgi.loadcontext(loadwsgi.FILTER, f"config:{path}", name=name)


def _class(context: Any) -> str:
    """The name of the class whose classmethod ``factory`` a filter's factory is."""
    return str(getattr(getattr(context.object, "__self__", None), "__name__", ""))
