"""A real catalog, whose records the documents and the rights are tested with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.catalog import Catalog, Image


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.sqlite") as opened:
        yield opened


@pytest.fixture
def image(catalog: Catalog) -> Image:
    """A queued image of the project p1, with properties."""
    return catalog.create_image(
        name="n", owner="p1", disk_format="raw", container_format="bare", visibility="shared", properties={"a": "1"}
    )
