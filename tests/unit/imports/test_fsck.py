"""The stores against the catalog: real damages, what is said of each, and what is repaired."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.catalog import Catalog, CopyFacts, ImportRequest
from douane.errors import StoreError
from douane.imports.fsck import Check, CheckOptions, Fault, Result, repair
from douane.imports.recovery import delete_unused_keys
from douane.imports.service_stores import ServiceStore, Stores
from douane.imports.settings import StoreSettings
from douane.stores import FileStore
from support.catalog import PLAN, begin, make_ready
from support.store import new_id, put

DATA = bytes(range(256)) * 16


class Site:
    """A catalog and the stores a and b, with images in both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog(folder / "catalog.sqlite3")
        self.files = {name: FileStore(folder / name) for name in "ab"}
        self.opened = Stores(
            tuple(
                ServiceStore(name, store, StoreSettings(url=f"file:{store.root}")) for name, store in self.files.items()
            ),
            "a",
        )

    def add(self, *stores: str, variants: dict[str, bytes] | None = None, data: bytes = DATA) -> str:
        image_id = self.catalog.create_image(name="x").id
        task = begin(self.catalog, image_id)
        for store in stores:
            copy = (variants or {}).get(store, data)
            put(self.files[store], [(0, copy)], len(copy), image_id)
        facts = {name: facts_of(copy) for name, copy in (variants or {}).items()}
        digests = {"sha256": hashlib.sha256(data).hexdigest()}
        ready = make_ready(self.catalog, task, size=len(data), digests=digests, variants=facts)
        self.catalog.activate(ready, list(stores))
        return image_id

    def path(self, store: str, image_id: str) -> Path:
        return self.folder / store / "images" / image_id

    def staged(self, store: str, key: str) -> Path:
        staged = self.files[store].stage(key)
        os.pwrite(staged.fd, b"half", 0)
        staged.close()
        return self.folder / store / "staging" / key

    def check(self, *, digests: bool = False, store: str | None = None) -> Result:
        return Check(self.catalog, self.opened, CheckOptions(digests=digests, store=store)).run()

    def faults(self, *, digests: bool = False) -> list[Fault]:
        return self.check(digests=digests).faults

    def repaired(self, *, digests: bool = False) -> list[Fault]:
        result = self.check(digests=digests)
        repair(self.catalog, self.opened, result)
        return result.faults


def facts_of(data: bytes) -> CopyFacts:
    digest = hashlib.sha256(data).hexdigest()
    return CopyFacts(
        size=len(data), virtual_size=None, disk_format="raw", container_format="bare", digests={"sha256": digest}
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path)
    yield opened
    opened.catalog.close()


def codes(faults: list[Fault]) -> list[tuple[str, str | None]]:
    return [(fault.code, fault.store) for fault in faults]


def test_stores_that_agree_with_the_catalog_have_no_fault(site: Site) -> None:
    site.add("a")
    site.add("a", "b", variants={"b": b"a variant"})
    result = site.check(digests=True)
    assert (result.faults, result.is_complete) == ([], True)
    by_store = {summary.id: (summary.copies, summary.intact, summary.digests) for summary in result.stores}
    assert by_store == {"a": (2, 2, 2), "b": (1, 1, 1)}
    assert sum(summary.bytes_read for summary in result.stores) == 2 * len(DATA) + len(b"a variant")


def test_bytes_that_are_gone_are_named_and_only_a_spare_copy_is_forgotten(site: Site) -> None:
    only, spare, other_id = site.add("a"), site.add("a", "b"), site.add("a")
    site.path("a", only).unlink()
    site.path("a", spare).unlink()
    faults = {fault.image: fault for fault in site.repaired()}
    assert {fault.code for fault in faults.values()} == {"bytes-missing"}
    assert {image: fault.repaired for image, fault in faults.items()} == {only: False, spare: True}
    assert "restore the bytes from a backup" in faults[only].remedy
    assert site.catalog.image(only).stores == ["a"]
    assert site.catalog.image(spare).stores == ["b"]
    assert site.catalog.image(other_id).stores == ["a"]


def test_a_record_stays_if_the_other_copy_is_a_variant_or_damaged(site: Site) -> None:
    varied, cut, changed = site.add("a", "b", variants={"b": b"v"}), site.add("a", "b"), site.add("a", "b")
    site.add("a")
    for image_id in (varied, cut, changed):
        site.path("a", image_id).unlink()
    site.path("b", cut).write_bytes(DATA[:-1])
    site.path("b", changed).write_bytes(DATA[:-1] + b"x")
    assert not any(fault.repaired for fault in site.repaired(digests=True))
    assert all(site.catalog.image(image_id).stores == ["a", "b"] for image_id in (varied, cut, changed))


def test_no_record_is_removed_of_a_store_in_which_no_copy_is(site: Site) -> None:
    image_id = site.add("a", "b")
    site.path("a", image_id).unlink()
    (fault,) = site.repaired()
    assert not fault.repaired
    assert "may be another store" in fault.remedy
    assert site.catalog.image(image_id).stores == ["a", "b"]


@pytest.mark.parametrize(("data", "word"), [(DATA[:-1], "short"), (DATA + b"x", "long"), (b"", "short")])
def test_bytes_of_another_length_are_named(site: Site, data: bytes, word: str) -> None:
    image_id = site.add("a", "b")
    site.path("b", image_id).write_bytes(data)
    (fault,) = site.repaired()
    assert (fault.code, fault.store, fault.image, fault.repaired) == ("bytes-size", "b", image_id, False)
    assert f"too {word}: {len(data)}, and the catalog has {len(DATA)}" in fault.message
    assert f"DELETE /v2/stores/b/{image_id}" in fault.remedy


def test_bytes_that_changed_are_only_seen_by_their_digest(site: Site) -> None:
    image_id = site.add("a", "b", variants={"b": b"variant"})
    site.path("b", image_id).write_bytes(b"Variant")
    site.path("a", image_id).write_bytes(DATA[:-1] + b"\0")
    assert site.faults() == []
    assert sorted(codes(site.faults(digests=True))) == [("bytes-digest", "a"), ("bytes-digest", "b")]


def test_something_else_than_a_file_is_named(site: Site) -> None:
    image_id = site.add("a")
    site.path("a", image_id).unlink()
    site.path("a", image_id).mkdir()
    assert codes(site.faults()) == [("bytes-unreadable", "a")]


def test_images_that_the_catalog_does_not_know_stay(site: Site) -> None:
    stranger = put(site.files["a"], [(0, DATA)], len(DATA))
    recorded = site.add("a")
    put(site.files["b"], [(0, DATA)], len(DATA), recorded)
    assert sorted(codes(site.repaired())) == [("copy-unrecorded", "b"), ("image-unknown", "a")]
    assert site.path("a", stranger).exists()
    assert site.path("b", recorded).exists()


def test_bytes_of_deleted_images_are_deleted_if_asked(site: Site) -> None:
    image_id = site.add("a", "b")
    site.catalog.delete(image_id)
    assert codes(site.faults()) == [("copy-of-deleted", "a"), ("copy-of-deleted", "b")]
    assert site.path("a", image_id).exists()
    assert all(fault.repaired for fault in site.repaired())
    assert not site.path("a", image_id).exists()
    assert site.catalog.image(image_id).stores == []
    assert site.faults() == []


def test_staged_bytes_of_no_import_are_deleted_if_asked(site: Site) -> None:
    path = site.staged("a", new_id())
    assert codes(site.faults()) == [("staged-unused", "a")]
    assert path.exists()
    assert [fault.repaired for fault in site.repaired()] == [True]
    assert not path.exists()


def test_staged_bytes_of_another_catalog_are_named_and_stay(site: Site, tmp_path: Path) -> None:
    other = Catalog(tmp_path / "other.sqlite3")
    try:
        image = other.create_image(name="x")
        upload = other.begin_upload(
            image.id, method="glance-direct", plan=PLAN, worker="door", request=ImportRequest(stores=("a",))
        )
    finally:
        other.close()
    assert upload.staged_key is not None
    path = site.staged("a", upload.staged_key)
    site.add("a")
    assert codes(site.repaired()) == [("staged-elsewhere", "a")]
    assert delete_unused_keys(site.catalog, site.files["a"]) == 1
    assert path.exists()


def test_staged_bytes_of_the_catalog_itself_do_not_stay(site: Site) -> None:
    image = site.catalog.create_image(name="x")
    upload = site.catalog.begin_upload(
        image.id, method="glance-direct", plan=PLAN, worker="door", request=ImportRequest(stores=("a",))
    )
    assert upload.staged_key is not None
    path = site.staged("a", upload.staged_key)
    site.catalog.fail(upload, outcome="undecided", code="interrupted", message="it was interrupted")
    assert delete_unused_keys(site.catalog, site.files["a"]) == 0
    assert not path.exists()


def test_what_running_imports_have_is_no_fault(site: Site) -> None:
    image = site.catalog.create_image(name="x")
    upload = site.catalog.begin_upload(
        image.id, method="glance-direct", plan=PLAN, worker="door", request=ImportRequest(stores=("a",))
    )
    assert upload.staged_key is not None
    site.staged("a", upload.staged_key)
    put(site.files["b"], [(0, DATA)], len(DATA), image.id)  # published, and not yet active
    claimed = site.files["a"].stage(new_id())
    try:
        assert site.faults() == []
    finally:
        claimed.discard()


def test_what_changes_between_two_looks_is_no_fault(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = site.add("a", "b")
    pages = site.catalog.readable_copies

    def and_then_deleted(marker: str = "", limit: int = 1000) -> object:
        page = pages(marker, limit)
        if page:
            site.catalog.remove_store(image_id, "b")
            site.files["b"].delete(image_id)
        return page

    monkeypatch.setattr(site.catalog, "readable_copies", and_then_deleted)
    assert site.faults() == []


def test_a_store_that_is_away_is_one_fault_and_the_check_is_incomplete(site: Site) -> None:
    for _ in range(3):
        site.add("a", "b")
    (site.folder / "b").rename(site.folder / "disk")
    result = site.check()
    assert codes(result.faults) == [("store-away", "b")]
    assert not result.is_complete
    assert {summary.id: summary.is_checked for summary in result.stores} == {"a": True, "b": False}
    repair(site.catalog, site.opened, result)
    assert all(image.stores == ["a", "b"] for image in site.catalog.images())


def test_a_store_without_a_configuration_is_named_with_its_copies(site: Site) -> None:
    site.add("a", "b")
    site.opened = Stores(site.opened.ordered[:1], "a")
    (fault,) = site.faults()
    assert (fault.code, fault.store) == ("store-unconfigured", "b")
    assert "records 1 copy " in fault.message
    assert site.check(store="a").faults == []


def test_an_image_without_any_copy_is_named_unless_it_lies_elsewhere(site: Site) -> None:
    image = site.catalog.create_image(name="x")
    task = begin(site.catalog, image.id)
    site.catalog.activate(make_ready(site.catalog, task, size=0), [])
    elsewhere = site.catalog.create_image(name="x")
    task = begin(site.catalog, elsewhere.id)
    marks = {"douane_location": ("https://example.org/x", "douane")}
    site.catalog.activate(make_ready(site.catalog, task, size=0, properties=marks), [])
    assert [(fault.code, fault.image) for fault in site.faults()] == [("no-copies", image.id)]


def test_a_task_for_stores_that_are_not_configured_is_named(site: Site) -> None:
    image = site.catalog.create_image(name="x")
    task = site.catalog.begin_queued(
        image.id,
        method="web-download",
        plan=PLAN,
        source={"url": "https://example.org/x"},
        request=ImportRequest(stores=("gone",)),
    )
    assert [(fault.code, fault.task) for fault in site.faults()] == [("task-stuck", task.id)]


def test_a_repair_that_fails_says_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    image_id = site.add("a")
    site.catalog.delete(image_id)

    def refuse(_: str, **__: object) -> None:
        raise StoreError("the disk is read-only", code="store-unwritable")

    monkeypatch.setattr(site.files["a"], "delete", refuse)
    (fault,) = site.repaired()
    assert not fault.repaired
    assert fault.remedy.startswith("not repaired: the disk is read-only")


def test_files_that_are_no_images_are_left_alone(site: Site) -> None:
    site.add("a")
    note = site.folder / "a" / "images" / f"{uuid.uuid4()}.txt"
    note.write_text("of somebody else")
    assert site.repaired() == []
    assert note.exists()


def test_another_store_at_the_same_place_is_named_and_nothing_in_it_is_repaired(site: Site) -> None:
    image_id, spare = site.add("a", "b"), site.add("a", "b")
    for name, store in site.files.items():
        site.catalog.know_store(name, store.identity())
    assert site.faults() == []
    site.path("b", spare).unlink()
    (site.folder / "b" / "store-id").unlink()
    result = site.check()
    repair(site.catalog, site.opened, result)
    assert codes(result.faults) == [("store-replaced", "b")]
    assert not result.is_complete
    assert not (site.folder / "b" / "store-id").exists()
    (site.folder / "b" / "store-id").write_text(str(uuid.uuid4()))
    assert codes(site.faults()) == [("store-replaced", "b")]
    assert all(site.catalog.image(each).stores == ["a", "b"] for each in (image_id, spare))


def test_a_copy_in_another_store_is_no_reason_to_forget_one(site: Site) -> None:
    image_id, _ = site.add("a", "b"), site.add("a")
    site.catalog.know_store("b", site.files["b"].identity())
    (site.folder / "b" / "store-id").write_text(str(uuid.uuid4()))
    site.path("a", image_id).unlink()
    faults = site.repaired()
    assert sorted(codes(faults)) == [("bytes-missing", "a"), ("store-replaced", "b")]
    assert not any(fault.repaired for fault in faults)
    assert site.catalog.image(image_id).stores == ["a", "b"]


def test_a_task_that_no_running_worker_can_begin_is_named(site: Site) -> None:
    image = site.catalog.create_image(name="x")
    source = {"url": "https://example.org/x"}
    request = ImportRequest(stores=("b",))
    task = site.catalog.begin_queued(image.id, method="web-download", plan=PLAN, source=source, request=request)
    assert site.faults() == []
    site.catalog.join("one", host="h", pid=1, version="1", stores=["a"])
    (fault,) = site.faults()
    assert (fault.code, fault.task) == ("task-stuck", task.id)
    assert "needs: b" in fault.message
    site.catalog.join("two", host="h", pid=2, version="1", stores=["a", "b"])
    assert site.faults() == []
