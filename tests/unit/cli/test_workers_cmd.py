"""`douane workers`: imports that wait without a worker, and machines at which no worker runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from douane.catalog import Catalog, ImportRequest
from douane.cli.main import douane
from support.catalog import PLAN


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with Catalog(tmp_path / "catalog.sqlite3") as catalog:
        catalog.join("build-1-x", host="build-1", pid=1, version="1", stores=("a",))
    return tmp_path


def say(home: Path, *words: str) -> str:
    result = CliRunner().invoke(douane, ["workers", *words, "--home", str(home)])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_name_at_which_no_worker_runs_is_cordoned_with_a_warning_that_lists_the_machines(home: Path) -> None:
    assert "no worker runs at bulid-1 (workers run at: build-1)" in say(home, "cordon", "bulid-1")
    assert "bulid-1 is cordoned, and no worker runs there" in say(home)
    assert "no worker runs at bulid-1" in say(home, "uncordon", "bulid-1")
    assert "bulid-1" not in say(home)


def test_a_drain_of_a_name_at_which_no_worker_runs_asks_whether_it_is_right(home: Path) -> None:
    assert "no worker runs at bulid-1 (workers run at: build-1): is that its name?" in say(home, "drain", "bulid-1")


def test_a_machine_with_workers_is_cordoned_with_their_number(home: Path) -> None:
    assert "build-1 is cordoned (1 worker)" in say(home, "cordon", "build-1")
    assert "build-1 is not cordoned any more (1 worker)" in say(home, "uncordon", "build-1")


def test_imports_that_wait_without_a_worker_are_said_with_their_stores(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.sqlite3") as catalog:
        for stores in (("slow", "fast"), ()):
            image = catalog.create_image(name="x")
            request, source = ImportRequest(stores=stores), {"url": "http://x"}
            catalog.begin_queued(image.id, method="web-download", plan=PLAN, request=request, source=source)
    assert "1 import waits, and no worker runs" in say(tmp_path)
    with Catalog(tmp_path / "catalog.sqlite3") as catalog:
        catalog.join("build-1-x", host="build-1", pid=1, version="1", stores=("fast",))
    assert "1 import waits for a worker that reaches the stores fast, slow\n" in say(tmp_path)
