"""Publishing: one step that replaces nothing; the image exists as a whole or not at all, whenever the process dies."""

import errno
import os
from pathlib import Path

import pytest

from douane.errors import StoreError
from douane.stores import FileStore
from support.store import content_of, new_id, put, read_all

BYTES = b"an image" * 1000


def test_publishing_makes_the_image_visible(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = new_id()
    staged = store.stage(new_id())
    os.pwrite(staged.fd, BYTES, 0)
    with pytest.raises(StoreError) as caught:
        store.publish(staged, image_id)
    assert caught.value.code == "not-finished"
    assert not store.exists(image_id)
    staged.finish(len(BYTES))
    assert not store.exists(image_id)
    store.publish(staged, image_id)
    assert store.exists(image_id)
    assert read_all(store, image_id) == BYTES
    assert list(store.image_ids()) == [image_id]
    assert list(store.staged_keys()) == []
    assert staged.fd == -1
    staged.discard()
    assert read_all(store, image_id) == BYTES


def test_publishing_never_replaces_an_image(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"first")], 5)
    with store.stage(new_id()) as second:
        os.pwrite(second.fd, b"other", 0)
        second.finish(5)
        with pytest.raises(StoreError) as caught:
            store.publish(second, image_id)
        assert caught.value.code == "exists"
        assert second.fd >= 0, "the caller can still discard it"
    assert read_all(store, image_id) == b"first"
    assert list(store.staged_keys()) == []


def test_a_staged_image_is_published_once(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    staged = store.stage(new_id())
    staged.finish(1)
    store.publish(staged, new_id())
    with pytest.raises(StoreError, match="published or discarded already"):
        store.publish(staged, new_id())
    assert len(list(store.image_ids())) == 1


def test_a_staged_file_that_was_replaced_is_not_published(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    with store.stage(new_id()) as staged:
        staged.finish(3)
        os.rename(staged.path, tmp_path / "moved")
        Path(staged.path).write_bytes(b"evil")
        with pytest.raises(StoreError) as caught:
            store.publish(staged, new_id())
        assert caught.value.code == "damaged"
        with pytest.raises(StoreError, match="replaced by another file"):
            staged.open_read()
    assert list(store.image_ids()) == []


def test_discarding_a_leftover_staged_name_keeps_the_image(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id, key = put(store, [(0, BYTES)], len(BYTES)), new_id()
    os.link(tmp_path / "images" / image_id, tmp_path / "staging" / key)
    assert store.discard(key)
    assert read_all(store, image_id) == BYTES


def test_a_failed_fsync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports a write-back error once and then forgets it, so a second fsync that succeeds proves
    nothing."""
    store = FileStore(tmp_path)
    with store.stage(new_id()) as staged:
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", _eio)
            with pytest.raises(StoreError, match="kernel's log"):
                staged.finish(1)
        with pytest.raises(StoreError, match="earlier failure"):
            staged.finish(1)
        with pytest.raises(StoreError, match="not finished"):
            store.publish(staged, new_id())


def test_a_failed_sync_of_the_directory_undoes_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, image_id = FileStore(tmp_path), new_id()
    with store.stage(new_id()) as staged:
        staged.finish(1)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", _eio)
            with pytest.raises(StoreError) as caught:
                store.publish(staged, image_id)
        assert caught.value.code == "store-io"
        assert not store.exists(image_id)
        store.publish(staged, image_id)
    assert store.exists(image_id)


def _eio(_fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_deleting_is_idempotent(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"x")], 1)
    reader = store.open(image_id)
    store.delete(image_id)
    store.delete(image_id)
    assert not store.exists(image_id)
    assert content_of(reader) == b"x", "a process that has it open can read on"
    for ask in (store.open, store.size):
        with pytest.raises(StoreError) as caught:
            ask(image_id)
        assert caught.value.code == "not-found"


def test_only_regular_files_are_opened_and_only_for_reading(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"x")], 1)
    image = store.open(image_id)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(image.fd, b"y")
    assert not os.get_inheritable(image.fd)
    image.close()
    for trap in (os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)):
        trapped = new_id()
        trap(tmp_path / "images" / trapped)
        with pytest.raises(StoreError):
            store.open(trapped)
