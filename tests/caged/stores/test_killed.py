"""Processes that die with an image half published, and staged files of live processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from douane.errors import StoreError
from douane.stores import FileStore
from support.processes import in_child, is_killed
from support.store import new_id, read_all, stager

BYTES = b"an image" * 1000


@pytest.mark.parametrize("with_adopt", [True, False], ids=["finished by another", "cleaned up"])
def test_a_kill_at_any_instant_leaves_the_whole_image_or_none(tmp_path: Path, with_adopt: bool) -> None:
    """SIGKILL before and after every system call of publishing, then the recovery of the next start."""
    instant, finished, states = 0, False, set()
    while not finished:
        root = tmp_path / str(instant)
        store, key, image_id = FileStore(root), new_id(), new_id()
        status = in_child(lambda: _publish_and_die(store, key, image_id, instant))  # noqa: B023 it runs at once
        finished = not is_killed(status)
        assert finished == (status == 0)
        state = (store.exists(image_id), list(store.staged_keys()) == [key])
        states.add(state)
        assert any(state), "the bytes were synced, so they are under one name or the other"
        if store.exists(image_id):
            assert read_all(store, image_id) == BYTES
        if with_adopt and state[1]:
            store.publish(store.adopt(key, len(BYTES)), image_id)
        for staged_key in store.staged_keys():
            assert store.discard(staged_key)
        assert store.exists(image_id) == (with_adopt or state[0])
        assert not store.exists(image_id) or read_all(store, image_id) == BYTES
        assert os.listdir(root / "staging") == []
        instant += 1
    assert states == {(False, True), (True, True), (True, False)}, "the kills hit every stage there is"


def _publish_and_die(store: FileStore, key: str, image_id: str, instant: int) -> None:
    staged = store.stage(key)
    os.pwrite(staged.fd, BYTES, 0)
    staged.finish(len(BYTES))
    remaining = instant

    def live_or_die() -> None:
        nonlocal remaining
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1

    def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: object, **kwargs: object) -> object:
            live_or_die()
            result = call(*args, **kwargs)
            live_or_die()
            return result

        return wrapped

    os.link, os.unlink, os.fsync, os.close = (mortal(f) for f in (os.link, os.unlink, os.fsync, os.close))
    store.publish(staged, image_id)


def test_adopting_needs_a_finished_file_of_the_right_size(tmp_path: Path) -> None:
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


def test_only_the_staged_files_of_dead_processes_are_discarded(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    key = new_id()
    with stager(tmp_path, key) as process:
        assert not store.is_abandoned(key)
        assert not store.discard(key)
        with pytest.raises(StoreError) as caught:
            store.adopt(key, 13)
        assert caught.value.code == "in-use"
        assert list(store.staged_keys()) == [key]
        process.kill()
        process.wait()
        assert store.is_abandoned(key)
        assert store.discard(key)
    assert not store.is_abandoned(key)
    assert not store.discard(key)
    assert os.listdir(tmp_path / "staging") == []


def test_a_cleaner_never_deletes_a_file_that_was_just_staged(tmp_path: Path) -> None:
    """Between its creation and its lock a staged file looks abandoned; the cleaner tries to hit that instant."""
    code = (
        "import sys, select\n"
        "from pathlib import Path\n"
        "from douane.stores import FileStore, save\n"
        "store = FileStore(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while not select.select([sys.stdin], [], [], 0)[0]:\n"
        "    for key in store.staged_keys(): store.discard(key)\n"
    )
    cleaner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert cleaner.stdout is not None
        assert cleaner.stdout.readline() == b"ready\n"
        store = FileStore(tmp_path)
        for _ in range(1500):
            staged = store.stage(new_id())
            assert Path(staged.path).stat().st_ino == os.fstat(staged.fd).st_ino
            staged.discard()
    finally:
        cleaner.communicate()
    assert cleaner.returncode == 0
