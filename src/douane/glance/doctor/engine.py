"""The filter's settings: the plan and its cages, or the agent; and the folder where it remembers."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from douane.engine import DouaneError, PlanError
from douane.glance.backends import AgentGate, Gate, LocalGate, gate
from douane.glance.settings import Settings, read
from douane.sandbox import Tier

from .points import Point, advice, ok, wrong
from .site import Site

_AREA = "plan"


def examine(site: Site) -> Iterator[Point]:
    """As the filter finds it when Glance starts; fills `site`."""
    try:
        site.settings = settings = read(site.filter_options or {})
    except PlanError as error:
        if site.filter_options is not None:
            yield wrong(
                _AREA,
                "settings",
                str(error),
                "mend the filter's section; settings from Glance's environment, DOUANE_*, set here, too",
            )
        else:
            yield advice(_AREA, "settings", "there is no filter, and so no plan to try", "see the pipeline")
        return
    try:
        site.gate = at = gate(settings)
    except (DouaneError, OSError) as error:
        what = "agent" if settings.agent is not None else "plugins"
        yield wrong(_AREA, what, str(error), _remedy(settings))
        return
    yield from _gate(settings, at)
    yield _state(settings, imported=bool(site.conf.enabled_import_methods))
    if not settings.imports:
        yield advice(
            _AREA,
            "imports",
            "unguarded: an import for which Glance does not run the import plugin is let through",
            "leave `imports` out where the import plugin is configured",
        )


def _gate(settings: Settings, at: Gate) -> Iterator[Point]:
    names = ", ".join(sorted(at.plugins))
    if isinstance(at, AgentGate):
        yield ok(_AREA, "agent", f"{settings.agent} answers; it has {names}")
        return
    yield ok(_AREA, "plugins", f"{settings.config}: {names}; each was started once")
    assert isinstance(at, LocalGate)
    if at.tier is Tier.OFF:
        yield wrong(_AREA, "sandbox", "off: plugins run without a cage", "take `sandbox` out; `douane doctor`")
    elif at.tier is Tier.FULL:
        yield ok(_AREA, "sandbox", at.tier.value)
    else:
        yield advice(_AREA, "sandbox", at.tier.value, "`douane doctor` tells how to get the tier `full`")
    if at.transforms:
        yield advice(
            _AREA,
            "transforms",
            "it may change images: an upload (PUT /file) that it would change is refused with 422, code needs-import",
            "tell the tenants to import: openstack image create --import",
        )


def _remedy(settings: Settings) -> str:
    if settings.agent is not None:
        return (
            f"start it, as a service: douane agent --socket {settings.agent} --config FILE; Glance's user must be "
            "in the group of the socket"
        )
    return f"try it as Glance's user: douane plan --config {settings.config}; `douane doctor` for the cages"


def _state(settings: Settings, *, imported: bool) -> Point:
    if settings.state is None:
        if not imported:
            return ok(_AREA, "state", "not set; without imports it is not needed")
        return advice(
            _AREA,
            "state",
            "not set: what is staged is inspected again when it is imported",
            "make a folder, Glance's alone, and set `state` to it",
        )
    found = os.stat(settings.state)
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        return wrong(_AREA, "state", f"{settings.state} belongs to {found.st_uid}", "chown it to Glance's user")
    if not os.access(settings.state, os.W_OK | os.X_OK):
        return wrong(_AREA, "state", f"{settings.state} cannot be written", "chmod 700, owned by Glance's user")
    if stat.S_IMODE(found.st_mode) & 0o022:
        return wrong(
            _AREA,
            "state",
            f"{settings.state} can be written by others: they could say that an image was inspected",
            f"chmod 700 {settings.state}",
        )
    return ok(_AREA, "state", f"{settings.state}, owned by {found.st_uid}")
