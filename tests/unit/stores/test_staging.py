"""Staged bytes: claims, clean-up, and the names of files."""

import os
import stat
from pathlib import Path

import pytest

from douane.errors import StoreError
from douane.stores import FileStore, save
from support.store import content_of, new_id, put, read_all


def test_an_unused_store_is_empty_and_queries_create_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    assert list(store.image_ids()) == []
    assert list(store.staged_keys()) == []
    assert not store.exists(new_id())
    store.delete(new_id())
    assert not store.discard(new_id())
    assert store.free() > 0
    assert not (tmp_path / "store").exists()


def test_only_the_owner_can_enter_the_store(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = FileStore(tmp_path / "deep" / "store")
        put(store, [(0, b"x")], 1)
        staged = store.stage(new_id())
    finally:
        os.umask(old)
    for name in ("deep", "deep/store", "deep/store/staging", "deep/store/images"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    assert stat.S_IMODE(os.fstat(staged.fd).st_mode) == 0o644
    staged.discard()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../images/x",
        "/etc/passwd",
        "a" * 36,
        "3F2504E0-4F89-41D3-9A0C-0305E82C3301",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301\n",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301/..",
        "3f2504e04f8941d39a0c0305e82c3301",
        "3f2504e0-4f89-41d3-9a0c-0305e82c330\0",
        None,
    ],
)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    store = FileStore(tmp_path / "store")
    calls = [
        lambda: store.stage(name),
        lambda: store.adopt(name, 0),
        lambda: store.is_abandoned(name),
        lambda: store.discard(name),
        lambda: store.open(name),
        lambda: store.size(name),
        lambda: store.exists(name),
        lambda: store.delete(name),
        lambda: save(store, name, tmp_path / "out"),
        lambda: store.copy_to(name, 1),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "bad-name"
    with store.stage(new_id()) as staged:
        staged.finish(0)
        with pytest.raises(StoreError, match="is not an id"):
            store.publish(staged, name)
    assert not (tmp_path / "out").exists()


def test_files_with_other_names_are_ignored(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [], 0)
    (tmp_path / "staging" / "lost+found").mkdir()
    (tmp_path / "images" / "README").write_text("mine")
    assert list(store.staged_keys()) == []
    assert list(store.image_ids()) == [image_id]


def test_a_key_is_staged_only_once(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    key = new_id()
    with store.stage(key) as staged:
        with pytest.raises(StoreError) as caught:
            store.stage(key)
        assert caught.value.code == "exists"
        assert list(store.staged_keys()) == [key]
        assert os.fstat(staged.fd).st_nlink == 1
    assert list(store.staged_keys()) == []


def test_another_descriptor_in_the_same_process_does_not_hold_the_claim(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    with store.stage(new_id()) as staged:
        reader = staged.open_read()
        assert not store.is_abandoned(staged.key)
        assert not FileStore(tmp_path).discard(staged.key)
        os.close(reader)
        assert not store.is_abandoned(staged.key), "closing a reader must not release the lock"


def test_discarding_is_idempotent(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    staged = store.stage(new_id())
    staged.discard()
    staged.discard()
    assert staged.fd == -1
    assert os.listdir(tmp_path / "staging") == []
    for ask in (staged.open_read, staged.size, lambda: staged.finish(1)):
        with pytest.raises(StoreError, match="published or discarded already"):
            ask()


def test_staged_bytes_can_be_read_while_they_grow(tmp_path: Path) -> None:
    with FileStore(tmp_path).stage(new_id()) as staged:
        reader = staged.open_read()
        os.pwrite(staged.fd, b"late", 4096)
        assert os.pread(reader, 8, 4092) == b"\0\0\0\0late"
        assert staged.size() == 4100
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(reader, b"no", 0)
        os.close(reader)


def test_finishing_sets_the_size(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"12345678")], 5)
    assert read_all(store, image_id) == b"12345"
    image_id = put(store, [(0, b"12345678")], 10)
    assert read_all(store, image_id) == b"12345678\0\0"
    assert store.size(image_id) == 10


def test_staged_bytes_are_read_while_they_are_claimed_and_afterwards(tmp_path: Path) -> None:
    store, key = FileStore(tmp_path / "store"), new_id()
    with store.stage(key) as staged:
        os.pwrite(staged.fd, b"bytes", 0)
        assert content_of(store.open_staged(key)) == b"bytes"
    with pytest.raises(StoreError) as caught:
        store.open_staged(key)
    assert caught.value.code == "not-found"


@pytest.mark.parametrize("first", ["the old name", "the new name"])
def test_staged_bytes_with_two_names_are_published_once_and_leave_nothing(tmp_path: Path, first: str) -> None:
    store, key, new_key, image_id = FileStore(tmp_path / "store"), new_id(), new_id(), new_id()
    staged = store.stage(key)
    os.pwrite(staged.fd, b"bytes", 0)
    staged.finish(5)
    with pytest.raises(StoreError) as caught:
        store.link_staged(key, new_key)
    assert caught.value.code == "in-use"
    staged.close()
    linked = store.link_staged(key, new_key)
    assert not store.discard(key)  # claimed under both names
    linked.close()
    if first == "the old name":
        assert store.discard(key)
    store.publish(store.adopt(new_key, 5), image_id)
    assert store.discard(key) == (first == "the new name")
    assert read_all(store, image_id) == b"bytes"
    assert list(store.staged_keys()) == []


def test_a_second_name_that_is_discarded_leaves_the_first(tmp_path: Path) -> None:
    store, key = FileStore(tmp_path / "store"), new_id()
    staged = store.stage(key)
    staged.finish(5)
    staged.close()
    store.link_staged(key, new_id()).discard()
    assert list(store.staged_keys()) == [key]


def test_only_the_image_that_was_opened_is_deleted(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    image_id = put(store, [(0, b"old")], 3)
    old = store.open(image_id)
    store.delete(image_id)
    put(store, [(0, b"new")], 3, image_id)
    store.delete(image_id, only=old)
    old.close()
    assert read_all(store, image_id) == b"new"
    new = store.open(image_id)
    store.delete(image_id, only=new)
    new.close()
    assert not store.exists(image_id)


def half_written(store: FileStore) -> str:
    """The key of staged bytes of which the first three were kept, and whose holder is gone."""
    key = new_id()
    staged = store.stage(key)
    os.pwrite(staged.fd, b"abc", 0)
    staged.keep(3)
    os.pwrite(staged.fd, b"lost", 3)
    staged.close()
    return key


def test_unfinished_bytes_are_cut_to_what_was_kept_and_go_on_from_there(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    key = half_written(store)
    staged = store.resume(key, 3)
    os.pwrite(staged.fd, b"d", 3)
    staged.finish(4)
    store.publish(staged, image_id := new_id())
    assert read_all(store, image_id) == b"abcd"


def test_bytes_that_are_only_kept_are_not_published(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    staged = store.stage(new_id())
    staged.finish(0)
    staged.keep(0)
    with pytest.raises(StoreError, match="is not finished"):
        store.publish(staged, new_id())
    staged.discard()


def test_unfinished_bytes_go_on_at_one_place_only(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    key = half_written(store)
    staged = store.resume(key, 3)
    with pytest.raises(StoreError) as caught:
        store.resume(key, 3)
    assert caught.value.code == "in-use"
    assert staged.size() == 3
    staged.discard()


def test_fewer_bytes_than_were_kept_are_damage_and_stay_as_they_are(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    key = half_written(store)
    with pytest.raises(StoreError) as caught:
        store.resume(key, 8)
    assert caught.value.code == "damaged"
    staged = store.resume(key, 7)
    assert staged.size() == 7
    staged.discard()


def test_bytes_that_were_discarded_do_not_go_on(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    key = half_written(store)
    assert store.discard(key)
    with pytest.raises(StoreError) as caught:
        store.resume(key, 3)
    assert caught.value.code == "not-found"
