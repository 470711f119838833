"""What only an object store has: segments, uploads that a killed process left, and a rule of the bucket."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys

import pytest

from douane.errors import StoreError
from douane.stores.s3 import staged as s3_staged
from douane.stores.s3.records import OWN_FOLDERS
from douane.stores.s3.store import S3Store
from support.store import content_of, new_id
from support.store_places import S3Place
from support.waiting import until

MiB = 1 << 20
ONLY_S3 = pytest.mark.only_stores(lambda kind: issubclass(kind, S3Place))
WRITER = """
import json, sys
from douane.stores import open_store
staged = open_store(sys.argv[1], json.loads(sys.argv[2])).stage(sys.argv[3])
for number in range(20):
    staged.write(memoryview(bytes([1]) * (1 << 20)), number << 20)
print("written", flush=True)
sys.stdin.read()
"""
MEASURED = """
import json, resource, sys
from douane.stores import open_store
store = open_store(sys.argv[1], json.loads(sys.argv[2]))
def write(key, count):
    staged = store.stage(key)
    piece = memoryview(bytes([1]) * (1 << 20))
    for number in range(count):
        staged.write(piece, number << 20)
    staged.finish(count << 20)
write(sys.argv[3], 64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write(sys.argv[4], 320)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@ONLY_S3
@pytest.mark.parametrize("excess", [-1, 0, 1], ids=["less", "one segment", "more"])
def test_an_image_that_is_longer_than_a_segment_has_several(
    place: S3Place, excess: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_staged, "SEGMENT_BYTES", 16 * MiB)
    data = random.Random(excess).randbytes(16 * MiB + excess)
    store, image = place.store(), new_id()
    staged = store.stage(new_id())
    for offset in range(0, len(data), 3 * MiB):
        staged.write(memoryview(data)[offset : offset + 3 * MiB], offset)
    staged.finish(len(data))
    store.publish(staged, image)
    segments = [name for name in place.leftovers() if "/data/" in name]
    assert len(segments) == (2 if excess > 0 else 1)
    assert content_of(store.open(image)) == data
    location = store.location(image)
    assert (location is None) == (excess > 0)


@ONLY_S3
def test_the_parts_of_a_killed_upload_go_with_its_key(place: S3Place) -> None:
    key = new_id()
    arguments = [sys.executable, "-c", WRITER, place.url, json.dumps(place.options()), key]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    until("the server has an upload", lambda: place.unfinished_uploads() == 1)
    process.kill()
    process.communicate()
    store = place.store()
    assert store.discard(key)
    assert place.unfinished_uploads() == 0
    assert place.leftovers() == []


@ONLY_S3
def test_an_upload_that_is_given_up_leaves_no_parts(place: S3Place) -> None:
    store = place.store()
    for end in ("discard", "close"):
        key = new_id()
        staged = store.stage(key)
        for number in range(20):
            staged.write(memoryview(b"x" * MiB), number * MiB)
        getattr(staged, end)()
        assert place.unfinished_uploads() == 0
        store.discard(key)
    assert place.leftovers() == []


@ONLY_S3
def test_memory_does_not_grow_with_the_image(place: S3Place) -> None:
    arguments = [sys.executable, "-c", MEASURED, place.url, json.dumps(place.options()), new_id(), new_id()]
    ended = subprocess.run(arguments, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert int(ended.stdout) < 48 << 10, "KiB: less than the parts that may be on their way, beyond the first image"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


@ONLY_S3
def test_a_bucket_without_a_rule_for_incomplete_uploads_is_reported(place: S3Place) -> None:
    store = place.store()
    assert isinstance(store, S3Store)
    assert "AbortIncompleteMultipartUpload" in store.advice()[0]
    for prefix, status, is_enough in (
        ("other/", "Enabled", False), (f"{place.prefix}/", "Disabled", False), (f"{place.prefix}/", "Enabled", True),
    ):  # fmt: skip
        place.set_rule(prefix, status)
        assert (store.advice() == []) == is_enough, (prefix, status)


@ONLY_S3
def test_the_environment_has_credentials_too(place: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.s3.account.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", place.s3.account.secret_key)
    options = {name: value for name, value in place.options().items() if name != "credentials_file"}
    store = S3Store(f"//{place.bucket}/{place.prefix}", **options)
    assert store.identity() == place.store().identity()
    assert "AbortIncompleteMultipartUpload" in store.advice()[0]
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in repr(vars(store))


@ONLY_S3
def test_a_writer_whose_bytes_were_discarded_before_it_came_leaves_nothing(
    place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_staged, "SEGMENT_BYTES", 16 * MiB)
    late, other = place.store(), place.store()
    key = new_id()
    staged = late.stage(key)
    for offset in range(0, 17 * MiB, MiB):
        staged.write(memoryview(bytes([1]) * MiB), offset)
    assert other.discard(key)
    with pytest.raises(StoreError, match="taken over"):
        staged.finish(17 * MiB)
    staged.discard()
    assert objects_of(late, key) == []


@ONLY_S3
def test_a_writer_that_was_stopped_while_it_began_finds_its_bytes_discarded(
    place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, other = place.store(), place.store()
    key = new_id()
    write = late._bucket.write

    def stopped(path: str, content: bytes, doing: str) -> None:
        monkeypatch.undo()
        assert other.discard(key)
        write(path, content, doing)

    late.identity()
    monkeypatch.setattr(late._bucket, "write", stopped)
    with pytest.raises(StoreError, match="taken over"):
        late.stage(key)
    assert objects_of(late, key) == []


def objects_of(store: S3Store, key: str) -> list[str]:
    names = [name for folder in OWN_FOLDERS for name in store._bucket.names(folder, "look")]
    return [name for name in names if key in name]
