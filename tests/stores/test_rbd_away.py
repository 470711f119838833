"""A cluster that is away or full, and helpers that hang: no call waits for ever, and afterwards all goes on."""

from __future__ import annotations

import os
import signal

import pytest

from douane.errors import StoreError
from support.processes import stop
from support.waiting import until

from .conftest import Pool
from .test_rbd import DATA, code_of, new_id, put, read, write

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("ceph")]


def write_much(pool: Pool) -> None:
    with pool.store.stage(new_id()) as staged:
        for number in range(80):
            staged.write(memoryview(DATA), number * len(DATA))
        staged.finish(80 * len(DATA))


def test_a_full_pool_says_so_and_takes_bytes_again_when_there_is_room(pool: Pool) -> None:
    image_id = put(pool)
    with pool.ceph.full(pool.name):
        assert code_of(lambda: write_much(pool)) == "store-full"
        assert read(pool, image_id) == DATA
    assert read(pool, put(pool)) == DATA


def test_an_osd_that_dies_in_the_middle_fails_the_import_and_comes_back(pool: Pool) -> None:
    image_id = put(pool)
    staged = pool.store.stage(new_id())
    staged.write(memoryview(DATA), 0)
    stored = pool.store.open(image_id)
    pool.ceph.stop("osd")
    try:

        def write_on() -> None:
            for number in range(1, 80):
                staged.write(memoryview(DATA), number * len(DATA))
            staged.finish(80 * len(DATA))

        assert code_of(write_on) == "store-away"
        assert code_of(lambda: staged.finish(len(DATA))) == "store-io"  # it can only be discarded
        staged.discard()
        assert code_of(lambda: stored.read_into(memoryview(bytearray(9)), 0)) == "store-away"
        stored.close()
        assert code_of(lambda: pool.store.exists(image_id)) == "store-away"
        assert code_of(lambda: pool.store.stage(new_id())) == "store-away"
    finally:
        pool.ceph.start_osd()
    until("the image can be read again", lambda: _is_readable(pool, image_id))
    assert read(pool, put(pool)) == DATA
    # Its process was killed, and the OSD knows it only by a watch, which ends after 30 seconds.
    until("the claim has ended", lambda: pool.store.discard(staged.key))
    assert list(pool.store.staged_keys()) == []


def _is_readable(pool: Pool, image_id: str) -> bool:
    try:
        return read(pool, image_id) == DATA
    except StoreError as error:
        assert error.code == "store-away"
        return False


def test_a_helper_that_is_paused_is_given_up(pool: Pool) -> None:
    staged = write(pool, {0: DATA}, len(DATA))
    helper = staged.helper()
    helper._seconds = 0.2
    stop(helper.pid)
    assert code_of(lambda: staged.finish(len(DATA))) == "store-away"
    staged.close()
    assert read(pool, put(pool)) == DATA


def test_a_helper_that_is_killed_fails_its_import_only(pool: Pool) -> None:
    staged, second = pool.store.stage(new_id()), pool.store.stage(new_id())
    os.kill(staged.helper().pid, signal.SIGKILL)

    def write_on() -> None:
        for number in range(80):
            staged.write(memoryview(DATA), number * len(DATA))

    assert code_of(write_on) == "store-io"
    staged.close()
    second.write(memoryview(DATA), 0)
    second.finish(len(DATA))
    image_id = new_id()
    pool.store.publish(second, image_id)
    assert read(pool, image_id) == DATA


def test_a_cluster_without_its_monitor_is_away(pool: Pool) -> None:
    image_id = put(pool)
    pool.ceph.stop("mon")
    try:
        fresh = type(pool.store)(pool.options)
        assert code_of(lambda: fresh.exists(image_id)) == "store-away"
        assert code_of(fresh.identity) == "store-away"
    finally:
        pool.ceph.start_mon()
    assert fresh.exists(image_id)
