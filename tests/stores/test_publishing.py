"""Every store: an image is there as a whole or not at all, nothing is replaced, and no claim is jumped."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from douane.errors import StoreError
from douane.stores import Staged, Store
from support.store import content_of, new_id
from support.store_places import Place

MiB = 1 << 20


def finished(store: Store, key: str, data: bytes) -> Staged:
    """Staged bytes that can be published."""
    staged = store.stage(key)
    if data:
        staged.write(memoryview(data), 0)
    staged.finish(len(data))
    return staged


def published(store: Store, data: bytes, image: str | None = None) -> str:
    image = image or new_id()
    store.publish(finished(store, new_id(), data), image)
    return image


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(StoreError) as raised:
        call()
    return raised.value.code


def test_an_image_is_not_seen_before_it_is_published(place: Place) -> None:
    store, key, image = place.store(), new_id(), new_id()
    staged = store.stage(key)
    staged.write(memoryview(bytes(9 * MiB)), 0)
    for _ in range(2):
        assert not store.exists(image)
        assert list(store.image_ids()) == []
        assert list(store.staged_keys()) == [key]
        assert {code_of(lambda: store.open(image)), code_of(lambda: store.size(image))} == {"not-found"}
        staged.finish(9 * MiB)
    store.publish(staged, image)
    second_store = place.store()
    assert second_store.exists(image)
    assert list(second_store.image_ids()) == [image]
    assert list(second_store.staged_keys()) == []
    assert code_of(lambda: store.publish(staged, new_id())) == "not-found"


def test_what_is_not_finished_is_neither_published_nor_adopted(place: Place) -> None:
    store, key = place.store(), new_id()
    staged = store.stage(key)
    staged.write(memoryview(b"half"), 0)
    assert code_of(lambda: store.publish(staged, new_id())) == "not-finished"
    staged.keep(4)
    assert code_of(lambda: store.publish(staged, new_id())) == "not-finished"
    staged.close()
    assert code_of(lambda: store.adopt(key, 9)) == "damaged"
    assert code_of(lambda: store.adopt(new_id(), 4)) == "not-found"
    assert store.discard(key)
    assert place.leftovers() == []


def test_nothing_is_replaced(place: Place) -> None:
    store, key = place.store(), new_id()
    image = published(store, b"first")
    second = finished(store, key, b"second")
    assert code_of(lambda: store.publish(second, image)) == "exists"
    assert code_of(lambda: store.stage(key)) == "exists"
    assert content_of(store.open(image)) == b"first"
    second.discard()
    second.discard()
    assert content_of(store.open(image)) == b"first"
    store.delete(image)
    assert place.leftovers() == []


def test_of_several_that_publish_at_once_one_succeeds(place: Place) -> None:
    image, begin = new_id(), threading.Barrier(4)
    results: list[tuple[int, str]] = []

    def run(number: int) -> None:
        store = place.store()
        staged = finished(store, new_id(), bytes([number]) * 100)
        begin.wait()
        try:
            store.publish(staged, image)
            results.append((number, "published"))
        except StoreError as error:
            results.append((number, error.code))
            staged.discard()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result for _, result in results) == ["exists"] * 3 + ["published"]
    winner = next(number for number, result in results if result == "published")
    store = place.store()
    assert content_of(store.open(image)) == bytes([winner]) * 100
    assert list(store.staged_keys()) == []
    store.delete(image)
    assert place.leftovers() == []


def test_publishing_may_be_repeated_by_another_process(place: Place) -> None:
    key, image = new_id(), new_id()
    finished(place.store(), key, b"bytes").close()
    store = place.store()
    store.publish(store.adopt(key, 5), image)
    assert content_of(store.open(image)) == b"bytes"
    assert code_of(lambda: store.adopt(key, 5)) == "not-found"
    assert not store.discard(key)
    assert content_of(store.open(image)) == b"bytes"


def test_only_the_image_that_was_opened_is_deleted(place: Place) -> None:
    store = place.store()
    image = published(store, b"old")
    old = store.open(image)
    store.delete(image)
    published(store, b"new", image)
    store.delete(image, only=old)
    old.close()
    assert content_of(store.open(image)) == b"new"
    new = store.open(image)
    store.delete(image, only=new)
    new.close()
    store.delete(image)
    assert not store.exists(image)
    assert place.leftovers() == []


@pytest.mark.only_stores(lambda kind: kind.can_link)
def test_what_is_linked_lives_as_long_as_a_key_or_an_image_needs_it(place: Place) -> None:
    data = random.Random(1).randbytes(9 * MiB)
    for last in ("original", "copy"):
        store, key, new_key, image = place.store(), new_id(), new_id(), new_id()
        finished(store, key, data).close()
        linked = store.link_staged(key, new_key)
        assert content_of(store.open_staged(key)) == data
        if last == "original":
            linked.discard()
            store.publish(store.adopt(key, len(data)), image)
        else:
            linked.close()
            store.publish(store.adopt(new_key, len(data)), image)
            assert store.discard(key)
        assert content_of(store.open(image)) == data
        assert list(store.staged_keys()) == []
        store.delete(image)
        assert place.leftovers() == []


@pytest.mark.only_stores(lambda kind: kind.can_link)
def test_a_key_that_is_gone_is_not_linked(place: Place) -> None:
    store = place.store()
    assert code_of(lambda: store.link_staged(new_id(), new_id())) == "not-found"
    assert list(store.staged_keys()) == []


@pytest.mark.only_stores(lambda kind: kind.has_claims)
def test_claimed_bytes_are_left_alone(place: Place) -> None:
    store, key = place.store(), new_id()
    staged = finished(store, key, b"claimed")
    second_store = place.store()
    assert not second_store.is_abandoned(key)
    assert not second_store.discard(key)
    assert code_of(lambda: second_store.adopt(key, 7)) == "in-use"
    staged.close()
    assert second_store.is_abandoned(key)
    assert second_store.discard(key)


@pytest.mark.only_stores(lambda kind: not kind.has_claims)
def test_a_writer_whose_bytes_were_continued_by_another_can_keep_nothing(place: Place) -> None:
    key = new_id()
    late = place.store().stage(key)
    late.write(memoryview(b"one"), 0)
    late.keep(3)
    late.write(memoryview(b"late"), 3)
    staged = place.store().resume(key, 3)
    assert {code_of(lambda: late.keep(7)), code_of(lambda: late.finish(7))} == {"in-use"}
    staged.write(memoryview(b"two"), 3)
    staged.finish(6)
    assert content_of(place.store().open_staged(key)) == b"onetwo"
    staged.discard()
    assert place.leftovers() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "x" * 300, "ABCDEF00-0000-4000-8000-000000000000", "a\0"]
)
def test_a_key_that_is_no_uuid_is_refused(place: Place, name: str) -> None:
    store = place.store()
    staged = finished(store, new_id(), b"it")
    calls: list[Callable[[], object]] = [
        lambda: store.stage(name),
        lambda: store.adopt(name, 0),
        lambda: store.resume(name, 0),
        lambda: store.is_abandoned(name),
        lambda: store.open_staged(name),
        lambda: store.link_staged(staged.key, name),
        lambda: store.discard(name),
        lambda: store.publish(staged, name),
        lambda: store.exists(name),
        lambda: store.open(name),
        lambda: store.size(name),
        lambda: store.delete(name),
    ]
    assert [code_of(call) for call in calls] == ["bad-name"] * len(calls)
    staged.discard()
    assert place.leftovers() == []


def test_names_that_are_no_uuids_are_not_listed(place: Place) -> None:
    store = place.store()
    image = published(store, b"it")
    place.put_foreign("images/not-an-id", b"x")
    place.put_foreign("staging/not-an-id", b"x")
    assert list(store.image_ids()) == [image]
    assert list(store.staged_keys()) == []


def test_the_identity_is_made_once_and_another_place_has_another(place: Place) -> None:
    identities: set[str] = set()
    threads = [threading.Thread(target=lambda: identities.add(place.store().identity())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(identities) == 1
    assert place.store().identity() in identities


def test_bytes_whose_holder_is_not_confirmed_stay_as_they_are(place: Place) -> None:
    key = new_id()
    staged = place.store().stage(key)
    staged.write(memoryview(b"abcdef"), 0)
    staged.keep(6)
    staged.close()

    def confirm() -> None:
        raise LookupError("another has it")

    with pytest.raises(LookupError):
        place.store().resume(key, 3, confirm)
    staged = place.store().resume(key, 6)
    staged.finish(6)
    assert content_of(place.store().open_staged(key)) == b"abcdef"
    staged.discard()


def test_what_is_cut_takes_no_space_and_others_follow(place: Place) -> None:
    key = new_id()
    staged = place.store().stage(key)
    staged.write(memoryview(b"abc"), 0)
    staged.keep(3)
    for lost in (b"lost", b"also lost"):
        staged.write(memoryview(lost), 3)
        staged.keep(3 + len(lost))
        staged.cut(3)
    staged.write(memoryview(b"not kept"), 3)
    staged.cut(3)
    with pytest.raises(StoreError) as raised:
        staged.cut(4)
    assert raised.value.code == "damaged"
    staged.write(memoryview(b"de"), 3)
    staged.finish(5)
    assert content_of(place.store().open_staged(key)) == b"abcde"
    image = new_id()
    place.store().publish(staged, image)
    place.store().delete(image)
    assert place.leftovers() == []
