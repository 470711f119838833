"""Fixtures of the tests of imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.workers import MakeSite, Site


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Makes a home for workers; they end with the test."""
    sites: list[Site] = []

    def make(**options: object) -> Site:
        sites.append(Site(tmp_path, **options))  # type: ignore[arg-type]
        return sites[-1]

    yield make
    for site in sites:
        site.close()
