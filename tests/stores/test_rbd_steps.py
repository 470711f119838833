"""Processes that die at each step of publishing and deleting in a pool: what follows completes the work."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from douane.errors import StoreError
from douane.stores.rbd import steps
from douane.stores.rbd.process import Helper

from .conftest import Pool
from .test_rbd import DATA, code_of, new_id, put, read, write

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("ceph")]

STEPS = ("snapshots", "make_snapshot", "protect", "rename")


class Died(Exception):
    """The process is gone."""


def dies_at(monkeypatch: pytest.MonkeyPatch, number: int, *, answered: bool) -> Callable[[], bool]:
    """End the helper at its command of this number, before or after it; the function says whether it came to that."""
    count = 0
    plain = Helper.call

    def call(helper: Helper, command: str, **arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == number and not answered:
            helper.kill()
            raise Died
        answer = plain(helper, command, **arguments)
        if count == number:
            helper.kill()
            raise Died
        return answer

    monkeypatch.setattr(Helper, "call", call)
    return lambda: count >= number


@pytest.mark.parametrize("answered", [False, True])
def test_publishing_is_completed_whatever_step_it_ended_at(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, *, answered: bool
) -> None:
    for number in range(1, len(STEPS) + 1):
        staged, image_id = write(pool, {0: DATA}, len(DATA)), new_id()
        with monkeypatch.context() as patch:
            has_died = dies_at(patch, number, answered=answered)
            with pytest.raises(Died):
                pool.store.publish(staged, image_id)
            assert has_died()
        staged.close()
        visible = number == len(STEPS) and answered
        assert pool.store.exists(image_id) == visible
        if not visible:
            _break_the_claim(pool, f"staging-{staged.key}")
            pool.store.publish(pool.store.adopt(staged.key, len(DATA)), image_id)
        assert read(pool, image_id) == DATA
        assert list(pool.store.staged_keys()) == []


def _break_the_claim(pool: Pool, name: str) -> None:
    """The watch of a process that was killed ends after 30 seconds; the monitors end it at once if they are asked."""
    for line in pool.rbd("status", name).splitlines():
        if "watcher=" in line:
            address = line.partition("watcher=")[2].split()[0]
            pool.ceph.ceph("osd", "blocklist", "add", address)


def test_deleting_is_completed_whatever_step_it_ended_at(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    has_died: Callable[[], bool] = lambda: True  # noqa: E731
    while has_died():
        number += 1
        image_id = put(pool)
        with monkeypatch.context() as patch:
            has_died = dies_at(patch, number, answered=False)
            with contextlib.suppress(Died):
                pool.store.delete(image_id)
        if pool.store.exists(image_id):
            assert read(pool, image_id) == DATA
            pool.store.delete(image_id)
        assert not pool.store.exists(image_id)
        pool.store.publish(write(pool, {0: b"another"}, 7), image_id)  # whatever is left of the first
        assert read(pool, image_id) == b"another"
        pool.store.delete(image_id)
        assert image_id not in pool.names()
    assert number > 5


def test_bytes_that_were_half_published_are_discarded(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = write(pool, {0: DATA}, len(DATA))
    with monkeypatch.context() as patch:
        dies_at(patch, len(STEPS), answered=False)
        with pytest.raises(Died):
            pool.store.publish(staged, new_id())
    staged.close()
    _break_the_claim(pool, f"staging-{staged.key}")
    assert pool.store.discard(staged.key)
    assert pool.names() == sorted(name for name in pool.names() if not name.startswith("staging-"))


@pytest.mark.parametrize("is_listed", [False, True])
def test_a_renaming_that_ended_between_its_steps_is_completed(pool: Pool, *, is_listed: bool) -> None:
    """librbd writes the object of the new name, changes the list of names, and deletes the object of the old name."""
    staged, image_id = write(pool, {0: DATA}, len(DATA)), new_id()
    old, new = f"rbd_id.staging-{staged.key}", f"rbd_id.{image_id}"
    rados = ["rados", "-c", str(pool.ceph.conf), "-p", pool.name]
    if is_listed:
        steps.publish(staged.helper(), staged.name, image_id)
        subprocess.run([*rados, "cp", new, old], check=True, timeout=60)
    else:
        subprocess.run([*rados, "cp", old, new], check=True, timeout=60)
    pool.store.publish(staged, image_id)
    assert read(pool, image_id) == DATA
    assert code_of(lambda: pool.store.open_staged(staged.key)) == "not-found"
    assert image_id in pool.names()
    assert f"staging-{staged.key}" not in pool.names()
    pool.store.delete(image_id)
    assert image_id not in pool.names()


@pytest.mark.parametrize("clone_format", ["1", "2"])
def test_the_bytes_of_an_image_that_is_cloned_while_it_is_deleted_stay(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clone_format: str
) -> None:
    image_id = put(pool)
    plain = Helper.call
    pool.ceph.ceph("osd", "set-require-min-compat-client", "mimic")

    def call(helper: Helper, command: str, **arguments: Any) -> Any:
        answer = plain(helper, command, **arguments)
        if command == "clones":
            names = f"{pool.name}/{image_id}@snap", f"{pool.name}/late"
            pool.ceph.rbd("clone", *names, "--rbd-default-clone-format", clone_format)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Helper, "call", call)
        with pytest.raises(StoreError) as caught:
            pool.store.delete(image_id)
    assert caught.value.code == "image-in-use"
    with pytest.raises(StoreError) as caught:
        pool.store.delete(image_id)
    assert caught.value.code == "image-in-use"
    assert pool.save("late", tmp_path) == DATA
    pool.rbd("rm", "late", "--no-progress")
    pool.store.delete(image_id)
    assert image_id not in pool.names()
