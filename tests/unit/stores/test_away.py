"""A store whose disk is away: nothing is stored below its mount point, and nothing is taken for lost or deleted."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from douane.errors import StoreError
from douane.stores.file import FileStore

KEY, IMAGE = (str(uuid.UUID(int=number)) for number in (1, 2))
CALLS: dict[str, Callable[[FileStore], object]] = {
    "identity": lambda store: store.identity(),
    "stage": lambda store: store.stage(KEY),
    "adopt": lambda store: store.adopt(KEY, 0),
    "open_staged": lambda store: store.open_staged(KEY),
    "staged_keys": lambda store: list(store.staged_keys()),
    "open": lambda store: store.open(IMAGE),
    "exists": lambda store: store.exists(IMAGE),
    "size": lambda store: store.size(IMAGE),
    "delete": lambda store: store.delete(IMAGE),
    "image_ids": lambda store: list(store.image_ids()),
}


def with_image(folder: Path) -> FileStore:
    store = FileStore(folder)
    staged = store.stage(KEY)
    os.pwrite(staged.fd, b"it", 0)
    staged.finish(2)
    store.publish(staged, IMAGE)
    return store


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_store_whose_disk_is_not_mounted_is_away(tmp_path: Path, call: str, restarted: bool) -> None:
    store = with_image(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "disk")
    (tmp_path / "store").mkdir()  # the mount point
    if restarted:
        store = FileStore(tmp_path / "store")
        store.expect_images()
    with pytest.raises(StoreError, match="is its disk mounted") as raised:
        CALLS[call](store)
    assert raised.value.code == "store-away"
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "store").rmdir()
    (tmp_path / "disk").rename(tmp_path / "store")
    assert store.exists(IMAGE)


def test_a_store_without_images_is_made_on_first_use(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "new" / "store")
    assert list(store.image_ids()) == []
    assert not store.exists(IMAGE)
    store.stage(KEY).close()
    assert list(store.staged_keys()) == [KEY]
