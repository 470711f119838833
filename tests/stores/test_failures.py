"""Every store: full, away, slow, silent, or closed to these credentials. The error says so, and nothing is lost."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest

from douane.errors import StoreError
from douane.stores import Store
from support.store import content_of, new_id
from support.store_places import Place, S3Place

MiB = 1 << 20


def write(store: Store, key: str, size: int) -> None:
    """Stage and finish `size` bytes; nothing stays if that fails."""
    staged = store.stage(key)
    try:
        for offset in range(0, size, MiB):
            staged.write(memoryview(b"\xaa" * MiB), offset)
        staged.finish(size)
    except StoreError:
        staged.discard()
        raise
    staged.close()


def calls(store: Store, key: str, image: str) -> dict[str, Callable[[], object]]:
    return {
        "stage": lambda: store.stage(new_id()),
        "resume": lambda: store.resume(key, 0),
        "adopt": lambda: store.adopt(key, 4 * MiB),
        "open_staged": lambda: store.open_staged(key),
        "staged_keys": lambda: list(store.staged_keys()),
        "open": lambda: store.open(image),
        "exists": lambda: store.exists(image),
        "size": lambda: store.size(image),
        "delete": lambda: store.delete(image),
        "image_ids": lambda: list(store.image_ids()),
    }


def prepared(store: Store) -> tuple[str, str]:
    """The key of staged bytes, and an image."""
    key, image = new_id(), new_id()
    write(store, key, 4 * MiB)
    write(store, image, 4 * MiB)
    store.publish(store.adopt(image, 4 * MiB), image)
    return key, image


def test_a_store_that_is_away_is_neither_empty_nor_new(place: Place) -> None:
    store = place.store()
    key, image = prepared(store)
    with place.away():
        for opened in (store, place.store(retries=0)) if isinstance(place, S3Place) else (store,):
            for name, call in calls(opened, key, image).items():
                with pytest.raises(StoreError) as raised:
                    call()
                assert raised.value.code == "store-away", name
    assert store.exists(image)
    assert content_of(store.open(image)) == content_of(store.open_staged(key)) == b"\xaa" * 4 * MiB


@pytest.mark.only_stores(lambda kind: hasattr(kind, "full") and kind.full is not Place.full)
def test_a_full_store_says_so_and_keeps_what_it_has(place: Place) -> None:
    store = place.store()
    key, image = prepared(store)
    names = place.leftovers()
    with place.full():
        with pytest.raises(StoreError) as raised:
            write(store, new_id(), 20 * MiB)
        assert raised.value.code == "store-full"
        assert "then try again" in str(raised.value) or "raise it" in str(raised.value)
    place.settle()
    if place.leftovers() != names:  # a claim that had not ended kept it
        assert [store.discard(staged) for staged in list(store.staged_keys()) if staged != key] == [True]
    assert place.leftovers() == names
    assert content_of(store.open(image)) == content_of(store.open_staged(key))
    write(store, new_id(), 2 * MiB)


@pytest.mark.only_stores(lambda kind: issubclass(kind, S3Place))
def test_a_slow_server_is_waited_for(place: S3Place) -> None:
    store, key = place.store(), new_id()
    with place.away("slow"):
        write(store, key, 3 * MiB)
        assert content_of(store.open_staged(key)) == b"\xaa" * 3 * MiB


@pytest.mark.only_stores(lambda kind: issubclass(kind, S3Place))
def test_a_server_that_keeps_silent_is_away(place: S3Place) -> None:
    key, image = prepared(place.store())
    store = place.store(timeout=0.5, retries=0)
    with place.away("silent"):
        for call in (lambda: write(store, new_id(), MiB), lambda: store.open(image), lambda: store.open_staged(key)):
            with pytest.raises(StoreError, match="does not answer") as raised:
                call()
            assert raised.value.code == "store-away"
    assert content_of(place.store().open(image)) == b"\xaa" * 4 * MiB


@pytest.mark.only_stores(lambda kind: issubclass(kind, S3Place))
def test_a_server_that_goes_away_during_an_upload_leaves_no_bytes(place: S3Place) -> None:
    store = place.store(retries=0)
    key = new_id()
    staged = store.stage(key)
    for number in range(10):
        staged.write(memoryview(b"\xaa" * MiB), number * MiB)
    with place.away(), pytest.raises(StoreError) as raised:
        for number in range(10, 100):
            staged.write(memoryview(b"\xaa" * MiB), number * MiB)
        staged.finish(100 * MiB)
    assert raised.value.code == "store-away"
    staged.discard()
    assert place.leftovers() == []
    write(store, key, MiB)


@pytest.mark.only_stores(lambda kind: kind.server == "s3-ceph")
@pytest.mark.parametrize("call", calls(None, "", ""))  # type: ignore[arg-type]
def test_wrong_credentials_are_named_and_never_shown(
    place: S3Place, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key, image = prepared(place.store())
    secret = "wrongwrongSECRETwrongwrong"
    store = place.store(**place.strangers_options(secret=secret))
    with pytest.raises(StoreError, match="the secret key is wrong") as raised:
        calls(store, key, image)[call]()
    assert raised.value.code == "store-unreadable"
    text = "".join(traceback.format_exception(raised.value)) + caplog.text + repr(store) + repr(vars(store))
    assert secret not in text
    assert place.s3.account.access_key not in text
    assert content_of(place.store().open(image)) == b"\xaa" * 4 * MiB


@pytest.mark.only_stores(lambda kind: issubclass(kind, S3Place))
def test_a_store_that_had_images_and_whose_bucket_is_another_is_away(place: S3Place) -> None:
    key, image = prepared(place.store())
    other_place = type(place)(place._folder, place.s3)
    store = other_place.store()
    store.expect_images()
    for name, call in calls(store, key, image).items():
        with pytest.raises(StoreError, match="is gone") as raised:
            call()
        assert raised.value.code == "store-away", name
    assert other_place.leftovers() == []


@pytest.mark.only_stores(lambda kind: issubclass(kind, S3Place))
def test_a_bucket_that_does_not_exist_is_away(place: S3Place) -> None:
    place.url = "s3://no-such-bucket/images"
    for name, call in calls(place.store(), new_id(), new_id()).items():
        with pytest.raises(StoreError, match="no such bucket") as raised:
            call()
        assert raised.value.code == "store-away", name
