"""Check whether a Glance is configured so that every image goes through the plan: point by point, with what to do.

The doctor reads what Glance reads, with Glance's own options and code, and changes nothing. Run it as the user that
runs Glance, in the environment that Glance is installed in.

A part of the examination is a function that takes the `Site` of ``site.py`` and yields points; the parts are registered
in `examine`, in the order in which a person sets Glance up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from douane.errors import PlanError
from douane.glance.settings import Settings, read_settings

from .points import Area, Point, State
from .site import Site, find_glance

__all__ = ["Point", "State", "examine", "read_site"]


def examine(
    config_files: tuple[str, ...] = (), config_dirs: tuple[str, ...] = (), paste: str | None = None
) -> Iterator[Point]:
    """Yield all points. Without files, examine those that Glance finds. Raises nothing that a configuration causes."""
    site = Site()
    yield from find_glance(site, config_files, config_dirs)
    if not site.is_read:
        return
    # They import Glance, which is known to be there now.
    from . import doors, imports, pipeline, plan, properties, samples, staging

    parts: dict[str, Callable[[], Iterator[Point]]] = {
        "pipeline": lambda: pipeline.examine(site, paste),
        "plan": lambda: plan.examine(site),
        "upload": lambda: samples.examine(site),
        "properties": lambda: properties.examine(site),
        "import": lambda: imports.examine(site),
        "staging": lambda: staging.examine(site),
        "door": lambda: doors.examine(site),
    }
    for area, part in parts.items():
        try:
            yield from part()
        except Exception as error:  # of oslo.config, which parses a value when it is used; of another Glance
            yield Area(area).wrong("all", f"it cannot be examined: {error}", "fix it: Glance would fail, too")


def read_site(config_files: tuple[str, ...], config_dirs: tuple[str, ...], paste: str | None) -> tuple[Site, Settings]:
    """This Glance, and the settings of the filter in its pipeline, or without a filter those of the environment.

    Raises PlanError if they cannot be read.
    """
    site = Site()
    points = list(find_glance(site, config_files, config_dirs))
    if not site.is_read:
        raise PlanError("; ".join(f"{point.fact}; {point.remedy}" for point in points if point.state is State.WRONG))
    from . import pipeline

    list(pipeline.examine(site, paste))
    return site, read_settings(site.filter_options or {})
