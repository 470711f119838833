"""Every test that takes `tier` runs in both tiers that close a cage."""

from __future__ import annotations

import pytest

from douane import sandbox


@pytest.fixture(params=[sandbox.Tier.FULL, sandbox.Tier.STRICT], ids=str)
def tier(request: pytest.FixtureRequest) -> sandbox.Tier:
    """A tier that must hold."""
    found: sandbox.Tier = request.param
    return found
