"""Open uploads of several projects: who may go on with one, and that quotas hold for every byte that is kept."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from support.fake_keystone import FakeKeystone
from support.judged import write_config
from support.open_uploads import IMAGE, PART, VERSION
from support.serve import Serve, serving

QUOTA = 1 << 20
USER, READER, OTHER, MEMBER, ADMIN = ({"X-Auth-Token": name} for name in ("user", "reader", "other", "member", "admin"))


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    keystone = FakeKeystone()
    keystone.add("user", "u1", "p1", "member", "reader")
    keystone.add("reader", "u1", "p1", "reader")
    keystone.add("other", "u2", "p2", "member", "reader")
    keystone.add("member", "u3", "p3", "member", "reader")
    keystone.add("admin", "u4", "p4", "admin", "member", "reader")
    folder = tmp_path_factory.mktemp("rights")
    (folder / "password").write_text("secret")
    config = write_config(folder)
    with config.open("a") as file:
        file.write(
            f'[serve.keystone]\nauth_url = "{keystone.url}"\nusername = "douane"\npassword_file = "{folder}/password"\n'
            f"[serve.quota]\nimage_stage_total = {QUOTA}\n"
        )
    try:
        with serving(folder / "home", config) as started:
            yield started
    finally:
        keystone.stop()


def create(serve: Serve) -> str:
    body = {"name": "n", "disk_format": "raw", "container_format": "bare", "visibility": "shared"}
    return str(serve.client.post("/v2/images", json=body, headers=USER).json()["id"])


def opened(serve: Serve, image_id: str) -> str:
    headers = {**IMAGE, **USER, "Upload-Complete": "?0"}
    return str(serve.client.put(f"/v2/images/{image_id}/stage", content=b"", headers=headers).headers["location"])


def append(serve: Serve, path: str, data: bytes, offset: int, sender: dict[str, str]) -> httpx.Response:
    headers = {**PART, **sender, "Upload-Offset": str(offset), "Upload-Complete": "?0"}
    return serve.client.patch(path, content=data, headers=headers)


@pytest.mark.parametrize(
    ("sender", "status"),
    [(OTHER, 404), (READER, 403), (MEMBER, 403)],
    ids=["other project", "reader", "member of image"],
)
def test_an_upload_is_its_projects_alone(serve: Serve, sender: dict[str, str], status: int) -> None:
    image_id = create(serve)
    assert serve.client.post(f"/v2/images/{image_id}/members", json={"member": "p3"}, headers=USER).status_code == 200
    path = opened(serve, image_id)
    headers = {**IMAGE, **sender, "Upload-Complete": "?0"}
    again = serve.client.put(f"/v2/images/{image_id}/stage", content=b"", headers=headers)
    assert again.status_code == status and "location" not in again.headers
    assert append(serve, path, b"x", 0, sender).status_code == status
    for method in ("HEAD", "GET", "DELETE"):
        response = serve.client.request(method, path, headers={**VERSION, **sender})
        assert response.status_code == status and "upload-offset" not in response.headers
    assert append(serve, path, b"mine", 0, USER).status_code == 204
    assert append(serve, path, b"the administrator's", 4, ADMIN).status_code == 204
    assert serve.client.delete(f"/v2/images/{image_id}", headers=USER).status_code == 204


def test_bytes_over_the_quota_do_not_stay_on_the_disk(serve: Serve) -> None:
    image_id = create(serve)
    path = opened(serve, image_id)
    assert append(serve, path, b"x" * 1000, 0, USER).status_code == 204
    for _ in range(2):
        response = append(serve, path, bytes(2 * QUOTA), 1000, USER)
        assert response.status_code == 413
        assert response.headers["upload-offset"] == "1000"
    (staged,) = (serve.home.parent / "store-a" / "staging").iterdir()
    assert staged.stat().st_size == 1000
    assert append(serve, path, b"more", 1000, USER).status_code == 204
    assert serve.client.delete(f"/v2/images/{image_id}", headers=USER).status_code == 204
