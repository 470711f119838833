"""Whether a Glance is configured so that every image goes through the plan: point by point, with what to do.

It reads what Glance reads, with Glance's own options and code, and changes nothing. It is to be run by the user that
runs Glance, in the environment that Glance is installed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .points import Point, State, wrong
from .site import Site, find

__all__ = ["Point", "State", "examine"]


def examine(
    config_files: tuple[str, ...] = (), config_dirs: tuple[str, ...] = (), paste: str | None = None
) -> Iterator[Point]:
    """All points, in the order of a person who sets it up. Without files, those that Glance finds. Raises nothing that
    a configuration could cause."""
    site = Site()
    yield from find(site, config_files, config_dirs)
    if not site.is_read:
        return
    from . import doors, engine, imports, pipeline, staging

    parts: dict[str, Callable[[], Iterator[Point]]] = {
        "pipeline": lambda: pipeline.examine(site, paste),
        "plan": lambda: engine.examine(site),
        "import": lambda: imports.examine(site),
        "staging": lambda: staging.examine(site),
        "door": lambda: doors.examine(site),
    }
    for area, part in parts.items():
        try:
            yield from part()
        except Exception as error:  # of oslo.config, which reads a value when it is asked for it; of another Glance
            yield wrong(area, "all", f"it cannot be examined: {error}", "Glance would fail by that, too: mend it")
