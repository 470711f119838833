"""Synopsis, the lines of douane.toml::

    [[plugin]]
    name = "maintenance"
    use = "plugins/maintenance_window.py:MaintenanceWindow"
    config = { begins = "22:30", ends = "04:00" }

Shows `Defer`: not now, but after some seconds, which the sender is told. The image is undecided, not refused.

Times are UTC: the sandbox has no files of time zones.
"""

from __future__ import annotations

import time

from douane_plugin import Defer, Image, Inspector

DAY = 24 * 60 * 60


class MaintenanceWindow(Inspector):
    """Defer all images between two times of the day, in UTC. The window may include midnight."""

    reads = "nothing"

    def __init__(self, begins: str = "22:30", ends: str = "04:00"):
        self.begins = seconds_of("begins", begins)
        self.length = (seconds_of("ends", ends) - self.begins) % DAY
        self.ends = ends
        if not self.length:
            raise ValueError("begins, ends: both are the same; remove the plugin if there is no window")

    def inspect(self, image: Image) -> None:
        within = (time.time() - self.begins) % DAY
        if within < self.length:
            raise Defer(
                max(1, round(self.length - within)),
                f"no images are accepted during maintenance; try again after {self.ends} UTC",
            )


def seconds_of(key: str, text: str) -> int:
    """Return the seconds from midnight to a time such as "04:00". Raises ValueError with the name of the setting."""
    try:
        at = time.strptime(text, "%H:%M")
    except ValueError:
        raise ValueError(f"{key}: a time such as '22:30', not {text!r}") from None
    return at.tm_hour * 3600 + at.tm_min * 60
