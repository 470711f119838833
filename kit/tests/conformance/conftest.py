"""The conformance suite, on plugins that are written for its tests."""

from __future__ import annotations

import pytest
from planted_plugins import PLUGINS

from douane import sandbox
from douane.engine import PluginSpec
from douane_kit.conformance import Report, examine

EFFORT = 0.35


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
