"""`[serve] stage_stores`: staged bytes lie in several stores before the stores of their import are named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images.qcow2 import qcow2_of_one_cluster
from support.judged import OCTETS, settled
from support.serve import Serve, serving

NAMES = ("a", "b", "c")
IMAGE = qcow2_of_one_cluster(1 << 20, b"a disk. ")
CONVERT = '[[plugin]]\nname = "convert"\nuse = "convert"\nstores = ["c"]\n'


def write_config(folder: Path, setting: str, plugins: str = "") -> Path:
    """Three stores, "a" the default, and `setting` in the table [serve]."""
    stores = "".join(f'[serve.stores.{name}]\nurl = "file:{folder / name}"\n' for name in NAMES)
    stores = stores.replace("\n[serve.stores.b]", "\ndefault = true\n[serve.stores.b]")
    plan = f'[[plugin]]\nname = "format"\nuse = "format"\n{plugins}[serve]\n{setting}\n{stores}'
    (folder / "douane.toml").write_text(plan)
    return folder / "douane.toml"


@pytest.fixture
def serve(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Serve]:
    setting, plugins = getattr(request, "param", ('stage_stores = "all"', ""))
    with serving(tmp_path / "home", write_config(tmp_path, setting, plugins)) as started:
        yield started


def stage(serve: Serve, **headers: str) -> str:
    image_id = serve.create(disk_format="qcow2")
    path = f"/v2/images/{image_id}/stage"
    assert serve.client.put(path, content=IMAGE, headers={**OCTETS, **headers}).status_code == 204
    return image_id


def staged_in(serve: Serve) -> list[str]:
    """The stores that have staged bytes."""
    folders = {name: serve.home.parent / name / "staging" for name in NAMES}
    return [name for name, folder in folders.items() if folder.is_dir() and list(folder.iterdir())]


def request_import(serve: Serve, image_id: str, *stores: str) -> None:
    body = {"method": {"name": "glance-direct"}, "stores": list(stores)}
    assert serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202


def copies(serve: Serve, image_id: str) -> dict[str, bytes]:
    paths = {name: serve.home.parent / name / "images" / image_id for name in NAMES}
    return {name: path.read_bytes() for name, path in paths.items() if path.exists()}


@pytest.mark.parametrize("stores", [NAMES, ("b",), ("b", "c")], ids=",".join)
def test_the_answer_to_an_import_into_any_of_them_comes_with_an_active_image(
    serve: Serve, stores: tuple[str, ...]
) -> None:
    image_id = stage(serve)
    assert staged_in(serve) == list(NAMES)
    request_import(serve, image_id, *stores)
    image = serve.image(image_id)  # at once: no worker has to do anything
    assert (image["status"], image["stores"]) == ("active", ",".join(stores))
    assert copies(serve, image_id) == dict.fromkeys(stores, IMAGE)
    assert staged_in(serve) == []


@pytest.mark.parametrize(
    ("serve", "store", "expected"),
    [
        (("", ""), "", ["a"]),
        (("", ""), "c", ["c"]),
        (('stage_stores = ["b"]', ""), "", ["b"]),
        (('stage_stores = ["a", "b"]', ""), "c", ["a", "b", "c"]),
        (('stage_stores = "all"', CONVERT), "", ["a", "b"]),
        (('stage_stores = ["c"]', CONVERT), "", ["a"]),
    ],
    indirect=["serve"],
)
def test_the_operator_and_the_client_choose_where_bytes_are_staged(
    serve: Serve, store: str, expected: list[str]
) -> None:
    image_id = stage(serve, **({"x-image-meta-store": store} if store else {}))
    assert staged_in(serve) == expected
    request_import(serve, image_id, "a", "b")
    assert settled(serve, image_id)["status"] == "active"
    assert copies(serve, image_id) == {"a": IMAGE, "b": IMAGE}


@pytest.mark.parametrize("serve", [('stage_stores = "all"', CONVERT)], indirect=True)
def test_a_store_with_a_transform_gets_its_variant_from_the_staged_bytes(serve: Serve) -> None:
    image_id = stage(serve)
    request_import(serve, image_id, *NAMES)
    image = settled(serve, image_id)
    assert (image["status"], image["stores"], image["disk_format"]) == ("active", "a,b,c", "qcow2")
    assert copies(serve, image_id) | {"c": b""} == {"a": IMAGE, "b": IMAGE, "c": b""}
    assert len(copies(serve, image_id)["c"]) == 1 << 20
    assert staged_in(serve) == []


@pytest.mark.parametrize("end", ["delete", "cancel"])
def test_an_image_that_is_not_imported_leaves_every_store_at_once(serve: Serve, end: str) -> None:
    image_id = stage(serve)
    if end == "delete":
        assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    else:
        assert serve.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 204
    assert staged_in(serve) == []


def test_a_store_that_fails_at_the_import_leaves_nothing_in_the_others(serve: Serve) -> None:
    image_id = stage(serve)
    shutil.rmtree(serve.home.parent / "b")
    (serve.home.parent / "b").write_text("in the way")
    request_import(serve, image_id, "a", "b")
    image = serve.image(image_id)
    assert (image["status"], image["os_glance_failed_import"]) == ("queued", "b")
    assert (copies(serve, image_id), staged_in(serve)) == ({}, [])


@pytest.mark.parametrize(
    "serve", [('stage_stores = "all"\n[serve.quota]\nimage_stage_total = "2MiB"', "")], indirect=True
)
def test_the_quota_counts_the_bytes_in_every_store(serve: Serve) -> None:
    stage(serve)
    usage = serve.client.get("/v2/info/usage").json()["usage"]["image_stage_total"]
    assert usage == {"limit": 2, "usage": -(-3 * len(IMAGE) // (1 << 20))}
    response = serve.client.put(f"/v2/images/{serve.create()}/stage", content=IMAGE, headers=OCTETS)
    assert response.status_code == 413
