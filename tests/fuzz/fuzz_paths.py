"""Importing this lets the modules of tests/formats be found: the tests use some of what stands there, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "formats"))
