"""Locations: bytes that a service wrote into a store of ours come through the plan, and others only if they may."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_keystone import FakeKeystone
from support.judged import write_config
from support.serve import Serve, serving
from support.waiting import until

GOOD = bytes(range(256)) * 8192
BAD = b"bad" + bytes(1 << 20)
USER = {"X-Auth-Token": "user"}
NOVA = {**USER, "X-Service-Token": "nova"}
OTHER = {"X-Auth-Token": "other", "X-Service-Token": "nova"}
RBD = "rbd://fsid/pool/image/snap"


@pytest.fixture(scope="module")
def keystone() -> Iterator[FakeKeystone]:
    started = FakeKeystone()
    started.add("user", "u1", "p1", "member", "reader")
    started.add("other", "u2", "p2", "member", "reader")
    started.add("nova", "nova", "service", "service")
    yield started
    started.stop()


def start(folder: Path, keystone: FakeKeystone, serve: str = "") -> Any:
    (folder / "password").write_text("secret")
    config = write_config(folder, serve)
    with config.open("a") as file:
        file.write(
            f'[serve.keystone]\nauth_url = "{keystone.url}"\nusername = "douane"\npassword_file = "{folder}/password"\n'
        )
    return serving(folder / "home", config)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, keystone: FakeKeystone) -> Iterator[Serve]:
    with start(tmp_path_factory.mktemp("locations"), keystone) as started:
        yield started


def create(serve: Serve, **fields: object) -> str:
    body = {"name": "n", "disk_format": "raw", "container_format": "bare", **fields}
    return str(serve.client.post("/v2/images", json=body, headers=USER).json()["id"])


def written(serve: Serve, data: bytes, name: str = "disk", store: str = "store-b") -> str:
    """The URL of a file that a service has written into a store."""
    folder = serve.home.parent / store / "from-nova"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return f"file://{folder / name}"


def post(serve: Serve, image_id: str, url: str, headers: dict[str, str] = NOVA, **data: str) -> httpx.Response:
    body = {"url": url, **({"validation_data": data} if data else {})}
    return serve.client.post(f"/v2/images/{image_id}/locations", json=body, headers=headers)


def image(serve: Serve, image_id: str) -> dict[str, Any]:
    document: dict[str, Any] = serve.client.get(f"/v2/images/{image_id}", headers=USER).json()
    return document


def settled(serve: Serve, image_id: str) -> dict[str, Any]:
    until("the import has ended", lambda: image(serve, image_id)["status"] != "importing")
    return image(serve, image_id)


def test_bytes_in_a_store_of_ours_are_read_through_the_plan_and_kept_in_that_store(serve: Serve) -> None:
    image_id = create(serve)
    url = written(serve, GOOD)
    digest = hashlib.sha512(GOOD).hexdigest()
    assert post(serve, image_id, url, os_hash_algo="sha512", os_hash_value=digest).status_code == 202
    document = settled(serve, image_id)
    assert (document["status"], document["size"], document["stores"]) == ("active", len(GOOD), "b")
    assert "douane_not_inspected" not in document
    assert serve.client.get(f"/v2/images/{image_id}/file", headers=USER).content == GOOD
    (task,) = serve.client.get(f"/v2/images/{image_id}/tasks", headers=USER).json()["tasks"]
    assert (task["type"], task["status"]) == ("location_import", "success")
    assert task["result"]["verdicts"][0]["plugin"] == "judge"
    assert "from-nova" not in str(task)  # whoever sees the image sees its tasks
    path = f"/v2/images/{image_id}/locations"
    (location,) = serve.client.get(path, headers=NOVA).json()
    assert (location["metadata"], location["url"].endswith(image_id)) == ({"store": "b"}, True)
    assert serve.client.get(path, headers=USER).status_code == 403


def test_bytes_that_a_plugin_refuses_do_not_become_an_image(serve: Serve) -> None:
    image_id = create(serve)
    assert post(serve, image_id, written(serve, BAD)).status_code == 202
    document = settled(serve, image_id)
    assert (document["status"], document["douane_code"]) == ("queued", "bad")


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_bytes_with_another_digest_do_not_become_an_image(serve: Serve, algorithm: str) -> None:
    image_id = create(serve)
    wrong = hashlib.new(algorithm, b"others").hexdigest()
    url = written(serve, GOOD)
    assert post(serve, image_id, url, os_hash_algo=algorithm, os_hash_value=wrong).status_code == 202
    document = settled(serve, image_id)
    assert (document["status"], document["douane_code"]) == ("queued", "wrong-digest")


def test_what_is_refused_before_anything_is_read(serve: Serve) -> None:
    image_id = create(serve, visibility="community")
    url = written(serve, GOOD)
    assert post(serve, image_id, url, USER).status_code == 403
    assert post(serve, image_id, url, OTHER).status_code == 403
    assert post(serve, image_id, RBD).status_code == 403
    assert post(serve, image_id, "file:///etc/passwd").status_code == 403
    assert post(serve, image_id, url + "-absent").status_code == 400
    (serve.home.parent / "store-b" / "from-nova" / "link").symlink_to("/etc/passwd")
    assert post(serve, image_id, url.replace("disk", "link")).status_code == 400
    other = create(serve)
    assert post(serve, other, url).status_code == 202
    assert settled(serve, other)["status"] == "active"
    assert post(serve, image_id, f"file://{serve.home.parent}/store-b/images/{other}").status_code == 403
    assert post(serve, other, url).status_code == 409
    assert post(serve, create(serve, disk_format=None), url).status_code == 409
    assert image(serve, image_id)["status"] == "queued"


def test_foreign_locations_and_other_images_if_the_operator_allows_them(tmp_path: Path, keystone: FakeKeystone) -> None:
    with start(tmp_path, keystone, 'foreign_locations = "allow"') as serve:
        image_id = create(serve)
        assert post(serve, image_id, RBD).status_code == 202
        document = image(serve, image_id)
        assert (document["status"], document["size"], document["douane_not_inspected"]) == ("active", None, "true")
        assert RBD not in str(document)
        path = f"/v2/images/{image_id}/locations"
        assert [each["url"] for each in serve.client.get(path, headers=NOVA).json()] == [RBD]
        assert serve.client.get(f"/v2/images/{image_id}/file", headers=USER).status_code == 404
        assert serve.client.delete(f"/v2/images/{image_id}", headers=USER).status_code == 204
        first, second = create(serve), create(serve)
        assert post(serve, first, written(serve, GOOD)).status_code == 202
        assert settled(serve, first)["status"] == "active"
        assert post(serve, second, f"file://{serve.home.parent}/store-b/images/{first}").status_code == 202
        document = settled(serve, second)
        assert (document["status"], "douane_not_inspected" in document) == ("active", False)
