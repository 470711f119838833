"""The plugins of the suite's own tests, with planted faults and without."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

PLUGINS = Path(__file__).with_name("plugins")
QUICK_DOUANE = [sys.executable, str(Path(__file__).with_name("quick_suite.py"))]
ALL = os.environ.get("DOUANE_TESTS") == "all"
"""True for `make test-all`: run all plugins, which takes ten minutes, and not one of each kind."""


def classes_in(name: str) -> list[str]:
    """Return the names of the plugins in a file, in its order."""
    return re.findall(r"^class (\w+)\((?:Inspector|Transform)\)", (PLUGINS / name).read_text(), re.M)
