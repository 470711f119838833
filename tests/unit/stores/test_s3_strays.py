"""Marks of an S3 store that late requests leave when the bytes are gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.errors import StoreError
from douane.stores.s3.store import S3Store
from support.s3_memory import Query, S3Memory
from support.store import new_id, read_all
from support.web_server import Request, WebServer

DATA = b"image"
STAGED, LINKED, PUBLISHED, OPEN, GONE, LATE = "staged", "linked", "published", "open", "gone", "late"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("s3") / "credentials"
    path.write_text("[default]\naws_access_key_id = access\naws_secret_access_key = secret\n")
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[S3Memory, int]]:
    memory = S3Memory()
    web = WebServer(memory)
    yield memory, web.port
    web.stop()


def open_store(server: tuple[S3Memory, int], credentials: Path) -> S3Store:
    server[0].objects.clear()
    server[0].bend = None
    return S3Store("//bucket/p", endpoint=f"http://127.0.0.1:{server[1]}", credentials_file=str(credentials), retries=0)


def put(store: S3Store, kind: str, memory: S3Memory) -> str | None:
    """Bring something of a kind into the store; the image that it made."""
    key = new_id()
    if kind == LATE:
        memory.objects[f"/bucket/p/held/{key}/{key}"] = b""
        return None
    staged = store.stage(key)
    if kind == OPEN:
        staged.write(memoryview(DATA), 0)
        return None
    staged.write(memoryview(DATA), 0)
    staged.finish(len(DATA))
    if kind == GONE:
        staged.discard()
        return None
    if kind == STAGED:
        return None
    image = new_id()
    store.publish(store.link_staged(key, new_id()) if kind == LINKED else staged, image)
    return image


@settings(max_examples=20)
@given(kinds=st.lists(st.sampled_from([STAGED, LINKED, PUBLISHED, OPEN, GONE, LATE]), max_size=6))
def test_only_the_marks_of_late_requests_are_deleted(
    server: tuple[S3Memory, int], credentials: Path, kinds: list[str]
) -> None:
    memory, store = server[0], open_store(server, credentials)
    images = [image for kind in kinds if (image := put(store, kind, memory))]
    assert store.delete_strays() == kinds.count(LATE)
    assert all(read_all(store, image) == DATA for image in images)
    for image in images:
        store.delete(image)
    for key in list(store.staged_keys()):
        store.discard(key)
    assert memory.objects.keys() <= {"/bucket/p/store-id"}


@pytest.mark.parametrize("first", range(6))
def test_nothing_that_an_image_has_is_deleted_when_the_server_answers_with_no_list(
    server: tuple[S3Memory, int], credentials: Path, first: int
) -> None:
    memory, store = server[0], open_store(server, credentials)
    image = put(store, LINKED, memory)
    assert image is not None
    lists: list[str] = []

    def no_list(request: Request, query: Query) -> bytes | None:
        if "list-type" not in query:
            return None
        lists.append(request.target)
        return b"<Error/>" if len(lists) > first else None

    memory.bend = no_list
    before = dict(memory.objects)
    with contextlib.suppress(StoreError):
        store.delete_strays()
    assert memory.objects == before
