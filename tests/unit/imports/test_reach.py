"""Which stores a machine reaches: those that the catalog means, and no others at the same place."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.catalog import Catalog
from douane.errors import PlanError, StoreError
from douane.imports.reach import Reach
from douane.imports.service_stores import Stores, compare_stores, know_stores, open_stores, try_stores
from douane.imports.settings import parse_settings
from support.processes import SECONDS
from support.waiting import until


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.sqlite3") as opened:
        yield opened


def stores_at(folder: Path, catalog: Catalog | None = None) -> Stores:
    """The stores `a`, the default, and `b` in a folder that stands for a machine."""
    table = {
        "stores": {
            "a": {"url": f"file:{folder}/a", "default": True},
            "b": {"url": f"file:{folder}/b"},
        }
    }
    return open_stores(parse_settings(table, where="test", base="/"), catalog)


def test_the_first_process_records_which_stores_it_has(tmp_path: Path, catalog: Catalog) -> None:
    stores = stores_at(tmp_path, catalog)
    recorded = know_stores(stores, catalog)
    assert recorded == catalog.store_identities()
    assert recorded == {place.id: place.store.identity() for place in stores}
    assert know_stores(stores_at(tmp_path, catalog), catalog) == recorded


def test_a_store_of_the_same_name_on_another_machine_is_not_used(tmp_path: Path, catalog: Catalog) -> None:
    know_stores(stores_at(tmp_path / "one", catalog), catalog)
    for name in "ab":
        stores_at(tmp_path / "two").by_id(name).store.identity()  # it was made there before
    another = stores_at(tmp_path / "two", catalog)
    know_stores(another, catalog)
    place = another.by_id("b")
    for call in (
        lambda: place.store.stage(str(uuid.uuid4())),
        lambda: place.store.delete(str(uuid.uuid4())),
        lambda: place.store.exists(str(uuid.uuid4())),
        lambda: list(place.store.staged_keys()),
    ):
        with pytest.raises(StoreError, match="is not the one that the catalog means") as caught:
            call()
        assert caught.value.code == "store-another"
    with pytest.raises(PlanError, match="`douane stores forget a`"):
        try_stores(another)
    try_stores(another, needs_default=False)
    assert not list((tmp_path / "two" / "b" / "staging").iterdir())


def test_a_store_that_the_catalog_knows_is_not_made_anew_on_another_machine(tmp_path: Path, catalog: Catalog) -> None:
    know_stores(stores_at(tmp_path / "one", catalog), catalog)
    another = stores_at(tmp_path / "two", catalog)
    know_stores(another, catalog)
    with pytest.raises(StoreError) as caught:
        another.by_id("b").store.stage(str(uuid.uuid4()))
    assert caught.value.code == "store-away"
    assert not (tmp_path / "two").exists()


def test_processes_that_start_while_the_catalog_is_away_know_the_stores(tmp_path: Path, catalog: Catalog) -> None:
    recorded = know_stores(stores_at(tmp_path / "one", catalog), catalog)
    another = stores_at(tmp_path / "two")
    compare_stores(another, recorded)
    with pytest.raises(StoreError, match="is not the one"):
        another.by_id("a").store.stage(str(uuid.uuid4()))


def test_a_worker_reaches_the_stores_that_are_there(tmp_path: Path, catalog: Catalog) -> None:
    recorded = know_stores(stores_at(tmp_path / "one", catalog), catalog)
    stores_at(tmp_path / "two").by_id("b").store.identity()
    shutil.copytree(tmp_path / "one" / "a", tmp_path / "two" / "a")  # the same file server
    stores = stores_at(tmp_path / "two", catalog)
    reach = Reach(stores, catalog, recorded, "w", every=0.01)
    try:
        assert reach.ids == ("a",)
        shutil.rmtree(tmp_path / "two" / "b")
        shutil.copytree(tmp_path / "one" / "b", tmp_path / "two" / "b")
        until("the right one is mounted", lambda: reach.ids == ("a", "b"))
        assert list(stores.by_id("b").store.staged_keys()) == []
    finally:
        reach.close()


def test_a_store_that_is_away_is_left_to_another_worker_that_reaches_it(tmp_path: Path, catalog: Catalog) -> None:
    recorded = know_stores(stores_at(tmp_path, catalog), catalog)
    stores = stores_at(tmp_path, catalog)
    reach = Reach(stores, catalog, recorded, "w", every=0.01)
    try:
        assert reach.ids == ("a", "b")
        (tmp_path / "b").rename(tmp_path / "unmounted")
        catalog.join("v", host="two", pid=1, version="1", stores=["b"])
        until("it leaves it to the other", lambda: reach.ids == ("a",))
        catalog.cordon("two")
        until("nobody else runs its imports, which fail then", lambda: reach.ids == ("a", "b"))
        catalog.uncordon("two")
        until("it leaves it to the other again", lambda: reach.ids == ("a",))
        (tmp_path / "unmounted").rename(tmp_path / "b")
        until("it is mounted again", lambda: reach.ids == ("a", "b"))
    finally:
        reach.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_store_that_a_machine_never_had_is_for_others_if_there_can_be_any(
    tmp_path: Path, catalog: Catalog, alone: bool
) -> None:
    recorded = know_stores(stores_at(tmp_path, catalog), catalog)
    (tmp_path / "b").rename(tmp_path / "unmounted")
    reach = Reach(stores_at(tmp_path, catalog), catalog, recorded, "w", alone=alone, every=0.01)
    try:
        assert reach.ids == (("a", "b") if alone else ("a",))
        (tmp_path / "unmounted").rename(tmp_path / "b")
        until("it is mounted", lambda: reach.ids == ("a", "b"))
        (tmp_path / "b").rename(tmp_path / "unmounted")
        until("it was looked at", lambda: reach._states["b"] == "away")
        assert reach.ids == ("a", "b"), "nobody else has it: its imports fail"
    finally:
        reach.close()


def test_a_store_that_does_not_answer_holds_up_no_other(tmp_path: Path, catalog: Catalog) -> None:
    recorded = know_stores(stores_at(tmp_path, catalog), catalog)
    stores = stores_at(tmp_path, catalog)
    answers = threading.Event()
    guard = stores.by_id("b").guard
    assert guard is not None
    look = guard.compare

    def hang(*arguments: str) -> str:
        answers.wait(SECONDS)
        return look(*arguments)  # type: ignore[arg-type]

    guard.compare = hang  # type: ignore[method-assign, assignment]
    catalog.join("v", host="two", pid=1, version="1", stores=["b"])
    reach = Reach(stores, catalog, recorded, "w", every=0.01, first=0.01)
    try:
        until("the first is reached", lambda: "a" in reach.ids)
        answers.set()
        until("the other is reached when it answers", lambda: reach.ids == ("a", "b"))
    finally:
        answers.set()
        reach.close()


def test_an_identity_is_forgotten_and_learned_anew(tmp_path: Path, catalog: Catalog) -> None:
    old = know_stores(stores_at(tmp_path, catalog), catalog)
    shutil.rmtree(tmp_path / "b")
    catalog.forget_store("b")
    fresh = know_stores(stores_at(tmp_path, catalog), catalog)
    assert fresh["a"] == old["a"]
    assert fresh["b"] != old["b"]
    assert catalog.store_identities() == fresh
