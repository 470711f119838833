"""The store in a pool of a real Ceph: what it leaves there, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from douane.errors import StoreError
from douane.stores.rbd import RbdStore
from support.waiting import until

from .conftest import Pool

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("ceph")]

MiB = 1 << 20
DATA = bytes(range(256)) * 4096


def new_id() -> str:
    return str(uuid.uuid4())


def write(pool: Pool, extents: dict[int, bytes], size: int, key: str | None = None):
    staged = pool.store.stage(key or new_id())
    for offset, data in extents.items():
        staged.write(memoryview(data), offset)
    staged.finish(size)
    return staged


def put(pool: Pool, extents: dict[int, bytes] | None = None, size: int = len(DATA)) -> str:
    image_id = new_id()
    pool.store.publish(write(pool, {0: DATA} if extents is None else extents, size), image_id)
    return image_id


def read(pool: Pool, image_id: str) -> bytes:
    with contextlib.closing(pool.store.open(image_id)) as stored:
        view = bytearray(stored.size)
        assert stored.read_into(memoryview(view), 0) == stored.size
        return bytes(view)


def code_of(call) -> str:
    with pytest.raises(StoreError) as caught:
        call()
    return caught.value.code


def test_an_image_is_left_as_glance_leaves_it(pool: Pool, tmp_path: Path) -> None:
    image_id = put(pool)
    info = json.loads(pool.rbd("info", image_id, "--format", "json"))
    assert (info["features"], info["object_size"], info["size"], info["format"]) == (
        ["layering"],
        8 * MiB,
        len(DATA),
        2,
    )
    (snapshot,) = json.loads(pool.ceph.rbd("snap", "ls", f"{pool.name}/{image_id}", "--format", "json"))
    assert (snapshot["name"], snapshot["protected"]) == ("snap", "true")
    assert pool.store.location(image_id) == f"rbd://{pool.ceph.fsid}/{pool.name}/{image_id}/snap"
    assert pool.save(f"{image_id}@snap", tmp_path) == DATA == read(pool, image_id)
    assert pool.store.identity() == f"{pool.ceph.fsid}/{pool.name}"


def test_a_clone_of_an_image_has_its_bytes_and_keeps_it_from_being_deleted(pool: Pool, tmp_path: Path) -> None:
    image_id = put(pool)
    pool.ceph.rbd("clone", f"{pool.name}/{image_id}@snap", f"{pool.name}/volume")
    assert pool.save("volume", tmp_path) == DATA
    assert pool.store.clones(image_id) == 1
    assert code_of(lambda: pool.store.delete(image_id)) == "image-in-use"
    assert read(pool, image_id) == DATA
    assert pool.store.clones(image_id) == 1
    pool.rbd("rm", "volume", "--no-progress")
    assert pool.store.clones(image_id) == 0
    pool.store.delete(image_id)
    assert image_id not in pool.names()
    pool.store.delete(image_id)


def test_a_clone_of_the_second_format_keeps_the_image_as_well(pool: Pool) -> None:
    image_id = put(pool)
    pool.ceph.ceph("osd", "set-require-min-compat-client", "mimic")
    pool.ceph.rbd("clone", f"{pool.name}/{image_id}@snap", f"{pool.name}/second", "--rbd-default-clone-format", "2")
    assert code_of(lambda: pool.store.delete(image_id)) == "image-in-use"
    assert read(pool, image_id) == DATA
    pool.rbd("rm", "second", "--no-progress")
    pool.store.delete(image_id)
    assert image_id not in pool.names()


def test_holes_stay_holes_also_at_the_end(pool: Pool) -> None:
    size = 3 << 30
    image_id = put(pool, {0: DATA, 2 << 30: DATA}, size)
    (used,) = [
        row["used_size"]
        for row in json.loads(pool.rbd("du", f"{image_id}@snap", "--format", "json"))["images"]
        if row.get("snapshot") == "snap"
    ]
    assert 0 < used <= 2 * 8 * MiB
    assert pool.store.size(image_id) == size
    pool.store.delete(image_id)


@pytest.mark.parametrize(
    "extents",
    [
        {},
        {0: b"x"},
        {5: b"abc", 8 * MiB - 2: b"across two objects", 20 * MiB + 1: DATA},
        {n * 300_000: bytes([n]) * 300_000 for n in range(60)},
        {7 * MiB: DATA * 20},
    ],
)
def test_bytes_at_any_offset_are_read_back(pool: Pool, extents: dict[int, bytes], tmp_path: Path) -> None:
    size = max((offset + len(data) for offset, data in extents.items()), default=0) + 4321
    expected = bytearray(size)
    for offset, data in extents.items():
        expected[offset : offset + len(data)] = data
    image_id = put(pool, extents, size)
    assert read(pool, image_id) == bytes(expected)
    for sparse in (False, True):
        with (tmp_path / str(sparse)).open("wb") as file:
            assert pool.store.copy_to(image_id, file.fileno(), sparse=sparse) == size
        assert (tmp_path / str(sparse)).read_bytes() == bytes(expected)
    pool.store.delete(image_id)


def test_parts_are_read_in_any_order(pool: Pool) -> None:
    data = bytes(n % 251 for n in range(9 * MiB))
    image_id = put(pool, {0: data}, len(data))
    with contextlib.closing(pool.store.open(image_id)) as stored:
        for offset, length in (
            (8 * MiB, 100),
            (0, 5 * MiB),
            (5 * MiB, MiB),
            (3, 4),
            (6 * MiB, MiB),
            (9 * MiB - 5, 100),
        ):
            view = bytearray(length)
            count = stored.read_into(memoryview(view), offset)
            assert view[:count] == data[offset : offset + length]
            assert count == min(length, len(data) - offset)
        assert stored.read_into(memoryview(bytearray(5)), len(data)) == 0
    assert code_of(lambda: stored.read_into(memoryview(bytearray(5)), 0)) == "store-unreadable"


def test_staged_bytes_are_seen_by_nobody_and_the_first_publisher_wins(pool: Pool) -> None:
    first, second, image_id = write(pool, {0: DATA}, len(DATA)), write(pool, {0: b"other"}, 5), new_id()
    assert not pool.store.exists(image_id)
    assert not {first.key, second.key} & set(pool.store.image_ids())
    assert {first.key, second.key} <= set(pool.store.staged_keys())
    assert code_of(lambda: pool.store.open(image_id)) == "not-found"
    pool.store.publish(first, image_id)
    assert code_of(lambda: pool.store.publish(second, image_id)) == "exists"
    assert read(pool, image_id) == DATA
    second.discard()
    first.discard()
    assert not {first.key, second.key} & set(pool.store.staged_keys())
    assert pool.store.exists(image_id)


@pytest.mark.parametrize("attempt", range(4))
def test_of_publishers_at_the_same_moment_one_wins_and_its_bytes_are_the_image(pool: Pool, attempt: int) -> None:
    image_id, begin = new_id(), threading.Barrier(4)
    staged = [write(pool, {0: bytes([number])}, 1) for number in range(4)]
    winners: list[int] = []

    def publish(number: int) -> None:
        begin.wait()
        with contextlib.suppress(StoreError):
            pool.store.publish(staged[number], image_id)
            winners.append(number)

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert read(pool, image_id) == bytes(winners)
    for each in staged:
        each.discard()
    assert read(pool, image_id) == bytes(winners)
    pool.store.delete(image_id)


def test_unfinished_bytes_are_not_published(pool: Pool) -> None:
    with pool.store.stage(new_id()) as staged:
        staged.write(memoryview(DATA), 0)
        assert code_of(lambda: pool.store.publish(staged, new_id())) == "not-finished"


def test_a_key_is_staged_once(pool: Pool) -> None:
    with pool.store.stage(new_id()) as staged:
        assert code_of(lambda: pool.store.stage(staged.key)) == "exists"


@contextmanager
def stager(pool: Pool, key: str, *, finished: bool) -> Iterator[subprocess.Popen[str]]:
    """A process that has staged the key, and holds it until it is killed."""
    code = (
        "import sys, msgspec\nfrom douane.stores.rbd import RbdOptions, RbdStore\n"
        "store = RbdStore(msgspec.json.decode(sys.argv[1], type=RbdOptions))\n"
        "staged = store.stage(sys.argv[2])\nstaged.write(memoryview(b'12345'), 0)\n"
        f"{'staged.finish(5)' if finished else 'staged.keep(5)'}\nprint('staged', flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, msgspec.json.encode(pool.options).decode(), key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_another_process_takes_over_what_a_killed_process_has_staged(pool: Pool) -> None:
    key, image_id = new_id(), new_id()
    with stager(pool, key, finished=True) as process:
        assert not pool.store.is_abandoned(key)
        assert not pool.store.discard(key)
        assert code_of(lambda: pool.store.adopt(key, 5)) == "in-use"
        process.kill()
        until("the claim has ended", lambda: pool.store.is_abandoned(key))
    assert code_of(lambda: pool.store.adopt(key, 6)) == "damaged"
    with contextlib.closing(pool.store.open_staged(key)) as stored:
        assert stored.size == 5
    pool.store.publish(pool.store.adopt(key, 5), image_id)
    assert read(pool, image_id) == b"12345"
    assert code_of(lambda: pool.store.adopt(key, 5)) == "not-found"


def test_an_upload_that_broke_off_goes_on(pool: Pool) -> None:
    key, image_id = new_id(), new_id()
    with stager(pool, key, finished=False) as process:
        assert code_of(lambda: pool.store.resume(key, 5)) == "in-use"
        process.kill()
        until("the claim has ended", lambda: pool.store.is_abandoned(key))
    assert code_of(lambda: pool.store.resume(key, 6)) == "damaged"
    staged = pool.store.resume(key, 3)
    staged.write(memoryview(b"xyz"), 3)
    staged.finish(6)
    pool.store.publish(staged, image_id)
    assert read(pool, image_id) == b"123xyz"
    assert code_of(lambda: pool.store.resume(key, 0)) == "not-found"


def test_abandoned_bytes_are_discarded_once(pool: Pool) -> None:
    staged = write(pool, {0: DATA}, len(DATA))
    staged.close()
    assert pool.store.is_abandoned(staged.key)
    assert pool.store.discard(staged.key)
    assert not pool.store.discard(staged.key)
    assert not pool.store.is_abandoned(staged.key)


def test_another_image_of_the_same_id_is_not_deleted(pool: Pool) -> None:
    image_id = put(pool)
    with contextlib.closing(pool.store.open(image_id)) as stored:
        pool.store.delete(image_id)
        pool.store.delete(image_id, only=stored)
        pool.store.publish(write(pool, {0: b"new"}, 3), image_id)
        pool.store.delete(image_id, only=stored)
        assert read(pool, image_id) == b"new"
    with contextlib.closing(pool.store.open(image_id)) as stored:
        pool.store.delete(image_id, only=stored)
    assert not pool.store.exists(image_id)


def test_locations_lead_to_snapshots_of_this_pool_only(pool: Pool) -> None:
    image_id = put(pool)
    location = pool.store.location(image_id)
    assert code_of(lambda: pool.store.open_location(location, images=False)) == "in-use"
    with contextlib.closing(pool.store.open_location(location, images=True)) as stored:
        assert stored.size == len(DATA)
    pool.rbd("create", "by-nova", "--size", "1M")
    pool.ceph.rbd("snap", "create", "--no-progress", f"{pool.name}/by-nova@snap")
    with contextlib.closing(pool.store.open_location(location.replace(image_id, "by-nova"), images=False)) as stored:
        assert stored.size == MiB
    assert code_of(lambda: pool.store.open_location(location.replace(image_id, "gone"), images=True)) == "not-found"
    staged = write(pool, {0: DATA}, len(DATA))
    url = location.replace(image_id, f"staging-{staged.key}")
    assert code_of(lambda: pool.store.open_location(url, images=True)) == "in-use"
    staged.discard()
    for url in (
        "file:///etc/passwd",
        location.replace(pool.name, "other"),
        "rbd://a",
        location + "/x",
        f"rbd:{image_id}",
    ):
        assert pool.store.open_location(url, images=True) is None


def test_images_of_others_in_the_pool_are_no_images(pool: Pool) -> None:
    pool.rbd("create", "volume-1", "--size", "1M")
    pool.rbd("create", "staging-x", "--size", "1M")
    assert "volume-1" not in set(pool.store.image_ids())
    assert "x" not in set(pool.store.staged_keys())


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"user": "nobody"}, "store-unwritable", "refuses client.nobody"),
        ({"pool": "none"}, "store-unwritable", "has no pool none"),
        ({"ceph_conf": "/none"}, "store-unwritable", "/none"),
        ({"keyring": "/none"}, "store-unwritable", "/none"),
    ],
)
def test_a_store_that_cannot_be_used_says_why(pool: Pool, changes: dict[str, str], code: str, sentence: str) -> None:
    store = RbdStore(msgspec.structs.replace(pool.options, **changes))
    with pytest.raises(StoreError, match=sentence) as caught:
        store.stage(new_id())
    assert caught.value.code == code


def test_a_client_that_may_only_read_cannot_stage(pool: Pool) -> None:
    image_id = put(pool)
    keyring = pool.ceph.add_client("reader", "mon", "profile rbd", "osd", f"profile rbd-read-only pool={pool.name}")
    store = RbdStore(msgspec.structs.replace(pool.options, user="reader", keyring=str(keyring)))
    assert store.size(image_id) == len(DATA)
    assert code_of(lambda: store.stage(new_id())) == "store-unwritable"


def test_an_image_that_is_deleted_while_it_is_read_is_not_read_as_zeros(pool: Pool) -> None:
    data = DATA * 20
    image_id = put(pool, {0: data}, len(data))
    stored = pool.store.open(image_id)
    view = memoryview(bytearray(MiB))
    assert stored.read_into(view, 0) == MiB
    pool.store.delete(image_id)

    def read_on() -> None:
        for offset in range(0, len(data), MiB):
            length = stored.read_into(view, offset)
            assert view[:length] == data[offset : offset + length]

    assert code_of(read_on) == "not-found"
    stored.close()
