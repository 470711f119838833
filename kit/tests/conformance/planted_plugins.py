"""The plugins that the suite is tried on."""

from __future__ import annotations

import os
import re
from pathlib import Path

PLUGINS = Path(__file__).with_name("plugins")
EVERY = os.environ.get("DOUANE_TESTS") == "all"
"""Whether all of the plugins are tried, as `make test-all` does, and not some of each kind: all take ten minutes."""


def classes_in(name: str) -> list[str]:
    """The plugins in a file, in its order."""
    return re.findall(r"^class (\w+)\((?:Inspector|Transform)\)", (PLUGINS / name).read_text(), re.M)
