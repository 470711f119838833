"""Plans for Douane in a Glance."""

from __future__ import annotations

from pathlib import Path

ACTS = Path(__file__).parents[1] / "plugins" / "douane_acts.py"


def inspect_plan(*, stall: str = "3s", timeout: str = "8s", never: str = "") -> str:
    """The plugin that does what the image's name says; an image called `never` hangs, too."""
    return f"""
[[plugin]]
name = "acts"
use = "{ACTS}:Acts"
stall = "{stall}"
timeout = "{timeout}"
config = {{ never = "{never}" }}
"""


INSPECT = inspect_plan()
UNPACK = f"""
[[plugin]]
name = "unpack"
use = "decompress"
{INSPECT}
"""
