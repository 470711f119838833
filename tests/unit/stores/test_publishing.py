"""Publishing: one step, nothing replaced, whole or not there when the process is killed at any instant."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from douane.errors import StoreError
from douane.stores import FileStore
from support.store import in_child, killed, new_id, put, read_all

BYTES = b"an image" * 1000


def test_an_image_is_there_only_after_publishing_and_then_whole(tmp_path: Path) -> None:
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
        assert second.fd >= 0, "it is still the caller's, to discard"
    assert read_all(store, image_id) == b"first"
    assert list(store.staged_keys()) == []


def test_nothing_is_published_twice(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    staged = store.stage(new_id())
    staged.finish(1)
    store.publish(staged, new_id())
    with pytest.raises(StoreError, match="published or discarded already"):
        store.publish(staged, new_id())
    assert len(list(store.image_ids())) == 1


def test_a_staged_name_that_leads_to_another_file_is_not_published(tmp_path: Path) -> None:
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


def test_a_published_image_whose_staged_name_stayed_survives_the_cleaning(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id, key = put(store, [(0, BYTES)], len(BYTES)), new_id()
    os.link(tmp_path / "images" / image_id, tmp_path / "staging" / key)
    assert store.discard(key)
    assert read_all(store, image_id) == BYTES


@pytest.mark.parametrize("with_adopt", [True, False], ids=["finished by another", "cleaned up"])
def test_killed_at_any_instant_the_image_is_whole_or_not_there(tmp_path: Path, with_adopt: bool) -> None:
    """kill -9 before and after every system call that publishing makes; then what the next start does."""
    instant, finished, seen = 0, False, set()
    while not finished:
        root = tmp_path / str(instant)
        store, key, image_id = FileStore(root), new_id(), new_id()
        status = in_child(lambda: _publish_and_die(store, key, image_id, instant))  # noqa: B023 it runs at once
        finished = not killed(status)
        assert finished == (status == 0)
        state = (store.exists(image_id), list(store.staged_keys()) == [key])
        seen.add(state)
        assert any(state), "the bytes were synced, so they are under one name or the other"
        if store.exists(image_id):
            assert read_all(store, image_id) == BYTES
        if with_adopt and state[1]:
            store.publish(store.adopt(key, len(BYTES)), image_id)
        for left in store.staged_keys():
            assert store.discard(left)
        assert store.exists(image_id) == (with_adopt or state[0])
        assert not store.exists(image_id) or read_all(store, image_id) == BYTES
        assert os.listdir(root / "staging") == []
        instant += 1
    assert seen == {(False, True), (True, True), (True, False)}, "the kills hit every stage there is"


def _publish_and_die(store: FileStore, key: str, image_id: str, instant: int) -> None:
    staged = store.stage(key)
    os.pwrite(staged.fd, BYTES, 0)
    staged.finish(len(BYTES))
    left = instant

    def live_or_die() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: object, **kwargs: object) -> object:
            live_or_die()
            found = call(*args, **kwargs)
            live_or_die()
            return found

        return wrapped

    os.link, os.unlink, os.fsync, os.close = (mortal(f) for f in (os.link, os.unlink, os.fsync, os.close))
    store.publish(staged, image_id)


def test_only_what_is_finished_and_of_the_right_size_is_taken_over(tmp_path: Path) -> None:
    store, key = FileStore(tmp_path), new_id()
    status = in_child(lambda: os.pwrite(store.stage(key).fd, BYTES, 0) and None)
    assert status == 0
    with pytest.raises(StoreError) as caught:
        store.adopt(key, len(BYTES) + 1)
    assert caught.value.code == "damaged"
    with pytest.raises(StoreError) as caught:
        store.adopt(new_id(), 1)
    assert caught.value.code == "not-found"
    staged = store.adopt(key, len(BYTES))
    assert not store.is_abandoned(key), "it has an owner again"
    staged.discard()


def test_a_failed_fsync_is_a_failure_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_image_whose_directory_could_not_be_synced_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_deleting_is_for_good_and_may_be_repeated(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"x")], 1)
    reader = store.open(image_id)
    store.delete(image_id)
    store.delete(image_id)
    assert not store.exists(image_id)
    assert os.pread(reader, 1, 0) == b"x", "who had it open reads on"
    os.close(reader)
    for ask in (store.open, store.size):
        with pytest.raises(StoreError) as caught:
            ask(image_id)
        assert caught.value.code == "not-found"


def test_an_image_is_opened_for_reading_only_and_must_be_a_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    image_id = put(store, [(0, b"x")], 1)
    fd = store.open(image_id)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"y")
    assert not os.get_inheritable(fd)
    os.close(fd)
    for trap in (os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)):
        other = new_id()
        trap(tmp_path / "images" / other)
        with pytest.raises(StoreError):
            store.open(other)
