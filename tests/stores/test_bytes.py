"""Every store gives back the bytes that it was given: of any length, with holes, in pieces of any length."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from douane.errors import StoreError
from douane.stores import Store, save
from support.store import content_of, new_id
from support.store_places import Place

MiB = 1 << 20
PART = 8 * MiB


def stage(store: Store, data: bytes, key: str, *, seed: int = 1, holes: tuple[tuple[int, int], ...] = ()) -> None:
    """Write `data` without its `holes` [start, end) in pieces of random lengths, and publish it as the image `key`."""
    pieces = random.Random(seed)
    staged = store.stage(key)
    offset = 0
    for start, end in (*holes, (len(data), len(data))):
        while offset < start:
            length = min(pieces.choice((1, 511, 4096, MiB - 1, MiB)), start - offset)
            staged.write(memoryview(data)[offset : offset + length], offset)
            offset += length
        offset = end
    staged.finish(len(data))
    store.publish(staged, key)


def data_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, MiB, PART - 1, PART, PART + 1, 3 * PART + 7])
def test_the_digest_of_what_is_read_is_that_of_what_was_written(place: Place, size: int) -> None:
    store, image, data = place.store(), new_id(), data_of(size)
    stage(store, data, image)
    read = content_of(place.store().open(image))
    assert hashlib.sha256(read).hexdigest() == hashlib.sha256(data).hexdigest()
    assert store.size(image) == size
    store.delete(image)
    assert place.leftovers() == []


@pytest.mark.parametrize(
    "holes",
    [
        ((0, 40 * MiB),),
        ((5, 6), (MiB, 2 * MiB), (3 * MiB, 30 * MiB)),
        ((MiB, 40 * MiB),),
        ((2 * MiB, 20 * MiB), (20 * MiB + 1, 38 * MiB)),
    ],
    ids=["nothing else", "short and long", "at the end", "long ones"],
)
def test_holes_are_read_as_zeros(place: Place, holes: tuple[tuple[int, int], ...]) -> None:
    data = bytearray(data_of(40 * MiB))
    for start, end in holes:
        data[start:end] = bytes(end - start)
    store, image = place.store(), new_id()
    stage(store, bytes(data), image, holes=holes)
    assert content_of(store.open(image)) == data


def test_any_range_is_read(place: Place) -> None:
    data = data_of(2 * MiB) + bytes(20 * MiB) + data_of(MiB)
    store, image = place.store(), new_id()
    stage(store, data, image, holes=((2 * MiB, 22 * MiB),))
    stored = store.open(image)
    ranges = random.Random(3)
    for start in [0, 2 * MiB - 1, 2 * MiB, 22 * MiB - 1, len(data) - 1, len(data), len(data) + 5] + [
        ranges.randrange(len(data)) for _ in range(12)
    ]:
        view = memoryview(bytearray(b"x" * ranges.choice((1, 4096, MiB, 4 * MiB))))
        count = stored.read_into(view, start)
        assert view[:count] == data[start : start + len(view)]
        assert count == len(data[start : start + len(view)])
    stored.close()


def test_an_image_is_saved_to_a_file_and_to_a_pipe(place: Place, tmp_path: Path) -> None:
    data = data_of(MiB) + bytes(30 * MiB) + data_of(5)
    store, image = place.store(), new_id()
    stage(store, data, image, holes=((MiB, 31 * MiB),))
    assert save(store, image, tmp_path / "disk.img") == len(data)
    assert (tmp_path / "disk.img").read_bytes() == data
    assert os.stat(tmp_path / "disk.img").st_blocks * 512 < 8 * MiB, "holes stay holes"
    with (tmp_path / "dense").open("wb") as file:
        assert store.copy_to(image, file.fileno()) == len(data)
    assert (tmp_path / "dense").read_bytes() == data


def test_unfinished_bytes_are_continued_from_where_they_were_kept(place: Place) -> None:
    store, image, data = place.store(), new_id(), data_of(20 * MiB)
    staged = store.stage(image)
    staged.write(memoryview(data)[: 9 * MiB], 0)
    staged.keep(9 * MiB)
    staged.write(memoryview(b"lost" * MiB), 9 * MiB)
    staged.close()
    continued = place.store().resume(image, 9 * MiB)
    continued.write(memoryview(data)[9 * MiB : 12 * MiB], 9 * MiB)
    continued.keep(12 * MiB)
    continued.close()
    again = place.store().resume(image, 10 * MiB)
    again.write(memoryview(data)[10 * MiB :], 10 * MiB)
    again.finish(len(data))
    store.publish(again, image)
    assert content_of(store.open(image)) == data
    store.delete(image)
    assert place.leftovers() == []


def test_what_another_service_wrote_is_opened_by_its_url_and_what_the_store_wrote_is_not(place: Place) -> None:
    store, image = place.store(), new_id()
    stage(store, b"secret", image)
    url = place.put_foreign("disk.img", b"foreign")
    location = store.open_location(url, images=False)
    assert location is not None
    assert content_of(location) == b"foreign"
    assert store.open_location(url.replace("disk.img", "../disk.img"), images=True) is None
    assert store.open_location("https://example.org/disk.img", images=True) is None
    url = store.location(image)
    assert url is not None
    with pytest.raises(StoreError, match="cannot read the location") as raised:
        store.open_location(url, images=False)
    assert raised.value.code == "in-use"
    allowed = store.open_location(url, images=True)
    assert allowed is not None
    assert content_of(allowed) == b"secret"
