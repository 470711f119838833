"""Every test that takes `tier` runs in both tiers that close a cage."""

from __future__ import annotations

import os

import pytest

from douane import sandbox

collect_ignore = [] if os.geteuid() == 0 else ["test_cgroup_delegated.py"]
"""An ordinary user cannot make a cgroup to try them in."""


@pytest.fixture(params=[sandbox.Tier.FULL, sandbox.Tier.STRICT], ids=str)
def tier(request: pytest.FixtureRequest) -> sandbox.Tier:
    """A tier that must hold."""
    found: sandbox.Tier = request.param
    return found
