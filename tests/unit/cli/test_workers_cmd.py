"""`douane workers` says which imports wait without a worker."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from douane.catalog import Catalog, ImportRequest
from douane.cli.main import douane
from support.catalog import PLAN


def test_imports_that_wait_without_a_worker_are_said_with_their_stores(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.sqlite3") as catalog:
        for stores in (("slow", "fast"), ()):
            image = catalog.create_image(name="x")
            request, source = ImportRequest(stores=stores), {"url": "http://x"}
            catalog.begin_queued(image.id, method="web-download", plan=PLAN, request=request, source=source)
    result = CliRunner().invoke(douane, ["workers", "--home", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "1 imports wait for a worker that reaches the stores fast, slow, and there is none" in result.output
    assert "1 imports wait for a worker, and there is none" in result.output
