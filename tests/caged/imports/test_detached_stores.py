"""A store that fails is detached from an import that does not need all stores, however the bytes come to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from douane.engine import FileSource
from douane.errors import StoreError
from douane.imports.copies import copy_bytes
from douane.imports.staged_copies import StagedCopies
from douane.stores import FileStore
from support.waiting import until
from support.workers import MakeSite, send

IMAGE = os.urandom(3 << 20)


def break_store(folder: Path) -> None:
    """The store's folder is a file from now on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("")


@pytest.mark.parametrize("plan", ["the same plan", "another plan"])
def test_staged_bytes_are_imported_without_the_store_that_fails(make_site: MakeSite, plan: str) -> None:
    site = make_site(stores=("a", "b"))
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image), IMAGE)
    break_store(site.place / "store-b")
    digest = "" if plan == "the same plan" else "another"
    task = site.request_import(image, ("a", "b"), digest, all_stores_must_succeed=False)
    until("the task has ended", lambda: site.catalog.task(task.id).outcome is not None)
    active = site.catalog.image(image.id)
    assert (active.status, active.stores, active.failed_stores) == ("active", ["a"], ["b"])
    assert site.bytes_in("a", image) == IMAGE


@pytest.mark.parametrize("plan", ["the same plan", "another plan"])
def test_an_import_that_needs_all_stores_ends_with_the_first_that_fails(make_site: MakeSite, plan: str) -> None:
    site = make_site(stores=("a", "b"))
    site.start("worker-1")
    image = site.new_image()
    send(site, site.begin(image), IMAGE)
    break_store(site.place / "store-b")
    task = site.request_import(image, ("a", "b"), "" if plan == "the same plan" else "another")
    until("the task has ended", lambda: site.catalog.task(task.id).outcome is not None)
    assert site.status(image) == "queued"
    until("the staged bytes are gone", lambda: not list(site.stores.by_id("a").store.staged_keys()))


class FullStore(FileStore):
    """A store whose disk is full when the first bytes come."""

    def stage(self, key: str) -> Any:
        staged = super().stage(key)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, staged.fd)
        os.close(full)
        return staged


@pytest.mark.parametrize("spare", [True, False])
def test_a_disk_that_becomes_full_ends_the_copying_only_if_no_other_store_has_the_bytes(
    tmp_path: Path, spare: bool
) -> None:
    (tmp_path / "image").write_bytes(IMAGE)
    full = FullStore(tmp_path / "full")
    key = "11111111-2222-3333-4444-555555555555"

    def copy() -> dict[str, str]:
        with StagedCopies(lambda _: full, ["full"], key, required=False, spare=spare) as copies:
            source = FileSource(os.open(tmp_path / "image", os.O_RDONLY), "the image")
            copy_bytes(source, list(copies.targets.values()), len(IMAGE), {}, lambda *_: None)
            return {store: error.code for store, error in copies.failed.items()}

    if spare:
        assert copy() == {"full": "store-full"}
    else:
        with pytest.raises(StoreError):
            copy()
