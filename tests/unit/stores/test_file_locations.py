"""URLs of files below a file store: which are opened, and that nothing else of the host is."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from douane.errors import StoreError
from douane.imports.locations import find_location
from douane.imports.service_stores import ServiceStore, Stores
from douane.imports.settings import StoreSettings
from douane.stores.file import FileStore
from douane.stores.file_locations import path_below
from support.store import content_of

IMAGE = str(uuid.UUID(int=7))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    for folder in ("images", "staging", "in/nova"):
        (tmp_path / "store" / folder).mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    return FileStore(tmp_path / "store")


def content(store: FileStore, url: str, *, images: bool = False) -> bytes | None:
    stored = store.open_location(url, images=images)
    return None if stored is None else content_of(stored)


def test_a_file_that_another_service_wrote_into_the_store_is_opened(store: FileStore) -> None:
    path = store.root / "in" / "nova" / "a disk.img"
    path.write_bytes(b"abc")
    for url in (f"file://{quote(str(path))}", f"FILE://localhost{quote(str(path))}"):
        assert content(store, url) == b"abc"


def test_the_url_that_the_store_says_is_that_of_its_image(store: FileStore) -> None:
    (store.root / "images" / IMAGE).write_bytes(b"abc")
    with pytest.raises(StoreError) as error:
        content(store, store.location(IMAGE))
    assert error.value.code == "in-use"
    assert content(store, store.location(IMAGE), images=True) == b"abc"


@pytest.mark.parametrize(
    "url",
    [
        "file://{root}/../secret", "file://{root}/in/../../secret", "file://{root}/in/%2e%2e/%2e%2e/secret",
        "file:///etc/passwd", "file://host{root}/in/x", "file://{root}", "file://{root}/", "file://{root}//in/x",
        "file://{root}x/in", "http://localhost{root}/in/x", "file://{root}/in/x?a", "file://{root}/in/x#a",
        "file://{root}/in/x%00", "rbd://fsid/pool/image/snap", "file://[", "file://{root}/./in/x",
    ],
)  # fmt: skip
def test_a_url_that_leads_to_another_place(store: FileStore, url: str) -> None:
    (store.root / "in" / "x").write_bytes(b"abc")
    assert content(store, url.replace("{root}", str(store.root)), images=True) is None


@pytest.mark.parametrize("kind", ["link", "folder link", "second name", "folder", "pipe", "absent"])
def test_what_is_no_file_of_its_own_is_refused(store: FileStore, kind: str) -> None:
    path = store.root / "in" / "x"
    secret = store.root.parent / "secret"
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "folder link":
        path.symlink_to(store.root.parent)
        path = path / "secret"
    elif kind == "second name":
        path.hardlink_to(secret)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(StoreError):
        content(store, f"file://{path}", images=True)


def test_bytes_that_are_being_received_are_never_read(store: FileStore) -> None:
    (store.root / "staging" / IMAGE).write_bytes(b"abc")
    with pytest.raises(StoreError, match="other images"):
        content(store, f"file://{store.root}/staging/{IMAGE}", images=True)


@given(st.lists(st.sampled_from(["..", ".", "", "in", "%2e%2e", "%2F", "%00", "a b", "images", "\udcff", "é"])))
def test_no_url_leads_out_of_the_store(names: list[str]) -> None:
    below = path_below("/srv/store", "file:///srv/store/" + "/".join(names))
    if below is not None:
        path = os.path.join("/srv/store", *below)
        assert os.path.normpath(path) == path
        assert path.startswith("/srv/store/")


def test_the_identity_of_the_store_is_no_location(store: FileStore) -> None:
    store.identity()
    with pytest.raises(StoreError) as error:
        content(store, f"file://{quote(str(store.root / 'store-id'))}", images=True)
    assert error.value.code == "store-unreadable"


@pytest.mark.parametrize("heavier", ["outer", "inner"])
def test_the_images_of_a_store_in_another_store_are_no_location(tmp_path: Path, heavier: str) -> None:
    """`find_location` asks every store, whichever comes first."""
    inner = FileStore(tmp_path / "store" / "inner")
    (inner.root / "images").mkdir(parents=True)
    (inner.root / "images" / IMAGE).write_bytes(b"abc")
    (inner.root / "by-nova").write_bytes(b"abcd")
    places = {"outer": FileStore(tmp_path / "store"), "inner": inner}
    ordered = sorted(places, key=lambda name: name != heavier)
    stores = Stores(
        tuple(ServiceStore(name, places[name], StoreSettings(url=f"file:{places[name].root}")) for name in ordered),
        ordered[0],
    )
    with pytest.raises(StoreError) as raised:
        find_location(stores, inner.location(IMAGE), images=False)
    assert raised.value.code == "in-use"
    assert find_location(stores, f"file://{inner.root}/by-nova", images=False) == (heavier, 4)
