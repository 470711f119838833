"""The conformance suite, on plugins that are written for its tests."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from douane import sandbox
from douane.conformance import Report, examine
from douane.engine import PluginSpec

PLUGINS = Path(__file__).with_name("plugins")
EFFORT = 0.35
EVERY = os.environ.get("DOUANE_TESTS") == "all"
"""Whether all of the plugins are tried, as `make test-all` does, and not some of each kind: all take ten minutes."""


def classes_in(name: str) -> list[str]:
    """The plugins in a file, in its order."""
    return re.findall(r"^class (\w+)\((?:Inspector|Transform)\)", (PLUGINS / name).read_text(), re.M)


@pytest.fixture(scope="session")
def conform():
    """Runs the suite on `use`, in the best cage that there is."""
    tier = sandbox.choose(None, sandbox.Tier.STRICT)

    def run(use: str, **more: object) -> Report:
        images = more.pop("images", ())
        effort = more.pop("effort", EFFORT)
        spec = PluginSpec(name="tried", use=use, base=str(PLUGINS), **more)
        return examine(spec, tier, images=images, effort=effort)

    return run
