"""Plans for Douane in a Glance."""

from __future__ import annotations

from pathlib import Path

ACTS = Path(__file__).parents[2] / "glance" / "plugins" / "douane_acts.py"


def inspect_plan(*, stall: str = "3s", timeout: str = "8s", never: str = "") -> str:
    """A plan whose plugin acts by the image's name; an image named `never` hangs, too."""
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

# Tempest sends random bytes as images of any format, so `format` must refuse none of them.
TEMPEST = """
[[plugin]]
name = "format"
use = "format"
mode = "warn"
on_incomplete = "warn"

[[plugin]]
name = "limits"
use = "limits"
config = { max_size = "1GiB" }
"""
