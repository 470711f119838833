"""The conformance suite on the plugins of its tests."""

from __future__ import annotations

import pytest
from planted_plugins import PLUGINS

from douane import sandbox
from douane.engine import PluginSpec
from douane_kit.conformance import Report, declare, examine

EFFORT = 0.35


@pytest.fixture(scope="session")
def conform():
    """Return a function that runs the suite on `use`, in the best sandbox of this machine."""
    tier = sandbox.choose(None, sandbox.Tier.STRICT)

    def run(use: str, **more: object) -> Report:
        images = more.pop("images", ())
        effort = more.pop("effort", EFFORT)
        declared = declare(more.pop("properties", {}), more.pop("findings", {}))
        spec = PluginSpec(name="tried", use=use, base=str(PLUGINS), **more)
        return examine(spec, tier, images=images, declared=declared, effort=effort)

    return run
