"""Each way by which the bytes of an image enter this Glance, or are said to be there: is it covered, or closed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .points import Area, Point
from .policies import SENTENCES, Who, who_may
from .site import Site

_AREA = Area("door")
_CLOSED = "closed: {} is not in enabled_import_methods"
_NO_PLUGIN = "take {} out of enabled_import_methods, or set up the import plugin (above)"


def examine(site: Site) -> Iterator[Point]:
    """Yield a point for each door."""
    methods = list(site.conf.enabled_import_methods or ())
    yield _upload(site)
    yield _stage(site, methods)
    yield from _web_download(site, methods)
    yield _glance_download(site, methods)
    yield _copy(methods)
    yield _locations(site)
    yield _add_location(site)
    yield _tasks()
    yield _AREA.ok(
        "the stores and the database themselves",
        "not covered: a user who can write to them, or run glance-manage, is trusted",
    )


def _upload(site: Site) -> Point:
    name = "PUT /v2/images/ID/file"
    if site.is_filtered and site.backend is not None:
        return _AREA.ok(name, "covered by the filter")
    who = who_may("upload_image")
    if who is Who.NOBODY:
        return _AREA.ok(name, f"closed: {SENTENCES[who]} (upload_image)")
    return _AREA.wrong(name, f"not covered; {SENTENCES[who]} (upload_image)", "set up the filter (above)")


def _stage(site: Site, methods: list[str]) -> Point:
    name = "PUT /v2/images/ID/stage, glance-direct"
    if "glance-direct" not in methods:
        return _AREA.ok(name, _CLOSED.format("glance-direct"))
    filtered = site.is_filtered and site.backend is not None
    if filtered and site.runs_plugin:
        return _AREA.ok(name, "covered by the filter, and by the import plugin")
    if filtered and site.settings is not None and not site.settings.guard_imports:
        return _AREA.ok(name, "covered by the filter")
    if filtered:
        return _AREA.ok(name, "closed: the filter refuses imports for which the import plugin would not run")
    if site.runs_plugin and site.backend is not None:
        return _AREA.ok(name, "covered by the import plugin")
    return _AREA.wrong(name, "not covered", "set up the filter and the import plugin (above)")


def _web_download(site: Site, methods: list[str]) -> Iterator[Point]:
    name = "import by web-download"
    yield _fetched(site, methods, "web-download", name)
    if "web-download" not in methods:
        return
    allowed = site.conf.import_filtering_opts
    if not allowed.allowed_hosts:
        yield _AREA.advice(
            f"{name}: from where",
            f"from every host (allowed_hosts is empty; {len(allowed.disallowed_hosts or ())} are disallowed), even in "
            "networks that only this host can reach",
            "list the hosts that images may come from in [import_filtering_opts] allowed_hosts",
        )


def _glance_download(site: Site, methods: list[str]) -> Point:
    return _fetched(site, methods, "glance-download", "import by glance-download")


def _fetched(site: Site, methods: list[str], method: str, name: str) -> Point:
    if method not in methods:
        return _AREA.ok(name, _CLOSED.format(method))
    if site.runs_plugin and site.backend is not None:
        return _AREA.ok(name, "covered by the import plugin")
    if site.is_filtered and site.settings is not None and site.settings.guard_imports:
        return _AREA.wrong(
            name,
            "closed, by the filter: it refuses imports for which the import plugin would not run",
            _NO_PLUGIN.format(method),
        )
    return _AREA.wrong(name, "not covered", _NO_PLUGIN.format(method))


def _copy(methods: list[str]) -> Point:
    name = "import by copy-image"
    if "copy-image" not in methods:
        return _AREA.ok(name, _CLOSED.format("copy-image"))
    return _AREA.ok(name, f"no new bytes: it copies stored images; {SENTENCES[who_may('copy_image')]} (copy_image)")


def _locations(site: Site) -> Point:
    name = "PATCH of an image's locations"
    if not site.conf.show_multiple_locations:
        return _AREA.ok(name, "closed: show_multiple_locations is false")
    return _by_policy(
        name,
        "set_image_location",
        "show_multiple_locations is true: an image is whatever a URL leads to, now and later, and nothing checks it",
        "set show_multiple_locations = false",
    )


def _add_location(site: Site) -> Point:
    name = "POST /v2/images/ID/locations"
    who = who_may("add_image_location")
    http = _has_http_store(site.conf)
    if who is Who.MEMBER and not http:  # glance.api.v2.images.ImagesController.add_location
        return _AREA.advice(
            name,
            "not covered; closed to tenants, as there is no http store; other services (Cinder, Nova) may",
            "check in the configuration of those services which volumes and servers they make images of",
        )
    return _by_policy(name, "add_image_location", "an image is whatever a URL leads to, and nothing checks it", "", who)


def _tasks() -> Point:
    return _by_policy("POST /v2/tasks, type import", "tasks_api_access", "the old import, which runs no plugins", "")


def _by_policy(name: str, rule: str, risk: str, remedy: str, who: Who | None = None) -> Point:
    who = who_may(rule) if who is None else who
    sentence = f"{SENTENCES[who]} ({rule})"
    if who is Who.NOBODY:
        return _AREA.advice(name, f"closed, or for a role of this site: {sentence}", f"check {rule} in the policy file")
    change = f'write "{rule}": "!" into the policy file'
    remedy = f"{remedy}, or {change}" if remedy else change
    fact = f"not covered: {risk}; {sentence}"
    if who in (Who.MEMBER, Who.UNKNOWN):
        return _AREA.wrong(name, fact, remedy)
    return _AREA.advice(name, fact, f"if nobody needs it, {remedy}")


def _has_http_store(conf: Any) -> bool:
    if conf.enabled_backends:
        return "http" in conf.enabled_backends.values()
    return "http" in (conf.glance_store.stores or ())
