"""Uploads that continue, with an object store as the default store: their parts become segments."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import httpx
import pytest

from support.open_uploads import append, begin_part, offset_of, opened
from support.s3_server import credentials_file, moto_server
from support.serve import Serve, read_to_end, serving, status_of
from support.waiting import until

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("moto")]

DATA = os.urandom(9_000_000)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("objects")
    with moto_server() as server:
        credentials = credentials_file(folder, server.account)
        (folder / "douane.toml").write_text(
            '[[plugin]]\nname = "format"\nuse = "format"\n'
            f'[serve.stores.objects]\nurl = "s3://{server.new_bucket()}/douane"\nendpoint = "{server.url}"\n'
            f'credentials_file = "{credentials}"\nunsigned_payload = true\ndefault = true\n'
        )
        with serving(folder / "home", folder / "douane.toml") as running:
            yield running


def test_parts_of_an_upload_become_the_image(serve: Serve) -> None:
    image_id = serve.create()
    path = opened(serve, image_id, length=len(DATA), first=DATA[:1000])
    for start, stop in ((1000, 6_000_000), (6_000_000, 6_000_001)):
        assert append(serve, path, DATA[start:stop], start).headers["upload-offset"] == str(stop)
    response = append(serve, path, DATA[6_000_001:], 6_000_001, last=True)
    assert (response.status_code, response.headers["upload-complete"]) == (204, "?1"), serve.log.read_text()[-3000:]
    assert serve.client.get(f"/v2/images/{image_id}/file").content == DATA


def test_a_part_that_breaks_off_and_a_door_that_dies_cost_no_more_than_was_not_kept(serve: Serve) -> None:
    image_id = serve.create()
    path = opened(serve, image_id)
    with begin_part(serve, path, 0, len(DATA), DATA[:3_000_000]) as line:
        until("bytes arrive", lambda: serve.image(image_id)["status"] == "importing")
        offset = offset_of(serve, path)
        assert status_of(read_to_end(line)) == 409
    assert append(serve, path, DATA[offset:4_000_000], offset).status_code == 204
    serve.kill("douane.api.process.door")
    until("the door answers again", lambda: answers(serve))
    assert offset_of(serve, path) == 4_000_000
    assert append(serve, path, DATA[4_000_000:], 4_000_000, last=True).status_code == 204
    assert serve.client.get(f"/v2/images/{image_id}/file").content == DATA


def answers(serve: Serve) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return serve.client.get("/healthcheck").status_code == 200
    return False


def test_a_cancelled_upload_frees_the_image(serve: Serve) -> None:
    image_id = serve.create()
    path = opened(serve, image_id, first=DATA[:1000])
    assert serve.client.delete(path).status_code == 204
    assert serve.image(image_id)["status"] == "queued"
    assert (
        serve.client.put(
            f"/v2/images/{image_id}/file", content=DATA, headers={"Content-Type": "application/octet-stream"}
        ).status_code
        == 204
    )
