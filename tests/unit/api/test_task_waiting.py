"""Many who wait for verdicts share one look at the catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from douane.api import task_waiting
from douane.api.pool import Pool
from douane.api.task_waiting import Verdicts
from douane.catalog import Catalog, ImportRequest, Task
from douane.catalog.task_list import TaskEnd
from douane.errors import CatalogError, NotFound


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.sqlite3") as opened:
        yield opened


class Watched:
    """A catalog whose looks are counted, and that can be away."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.looks: list[int] = []
        self.error: CatalogError | None = None

    def ends(self, ids: Sequence[str]) -> dict[str, TaskEnd]:
        self.looks.append(len(ids))
        if self.error is not None:
            raise self.error
        return self._catalog.ends(ids)


def begun(catalog: Catalog) -> Task:
    image = catalog.create_image(name="n", owner="p1")
    return catalog.begin_import(
        image.id, method="upload", plan={}, on_failure="requeue", request=ImportRequest(owner="p1")
    )


def test_all_who_wait_are_answered_by_the_same_look(catalog: Catalog) -> None:
    tasks = [begun(catalog) for _ in range(20)]
    watched = Watched(catalog)

    async def wait() -> list[str]:
        verdicts = Verdicts(watched.ends, Pool())
        waiting = [asyncio.create_task(verdicts.wait(task)) for task in tasks]
        while not watched.looks:
            await asyncio.sleep(0.01)
        for task in tasks:
            catalog.fail(task, outcome="refused", code="bad", message="No.")
        return [done.code or "" for done in await asyncio.gather(*waiting)]

    assert asyncio.run(wait()) == ["bad"] * 20
    assert max(watched.looks) == 20
    assert len(watched.looks) < 20


def test_who_waits_for_a_task_that_is_gone_learns_it(catalog: Catalog) -> None:
    task = begun(catalog)
    gone = Task(**{**{name: getattr(task, name) for name in task.__struct_fields__}, "id": "0" * 8 + task.id[8:]})

    async def wait() -> None:
        await Verdicts(catalog.ends, Pool()).wait(gone)

    with pytest.raises(NotFound, match="there is no import task"):
        asyncio.run(wait())


def test_a_catalog_that_is_away_for_too_long_ends_the_wait(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_waiting, "AWAY_SECONDS", 0.2)
    watched = Watched(catalog)
    watched.error = CatalogError("the database is away", code="catalog-busy")

    async def wait() -> None:
        await Verdicts(watched.ends, Pool()).wait(begun(catalog))

    with pytest.raises(CatalogError, match="is away"):
        asyncio.run(wait())
    assert len(watched.looks) > 1
