"""Imports: staged bytes, URLs, and copies to further stores; how they are seen, stopped and cancelled."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support import web_server
from support.judged import OCTETS, settled, write_config
from support.serve import Serve, serving
from support.waiting import until
from support.web_server import WebServer

GOOD = bytes(range(256)) * 8192
BAD = b"bad" + bytes(1 << 20)


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with WebServer(web_server.image(GOOD)) as server:
        yield server


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, web: WebServer) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("imports")
    with serving(folder / "home", write_config(folder, ports=(1, 80, web.port))) as started:
        yield started


def stage(serve: Serve, data: bytes) -> str:
    """An image with staged bytes."""
    image_id = serve.create()
    response = serve.client.put(f"/v2/images/{image_id}/stage", content=data, headers=OCTETS)
    assert (response.status_code, response.content) == (204, b"")
    return image_id


def request_import(serve: Serve, image_id: str, method: str = "glance-direct", **fields: object) -> httpx.Response:
    uri = {"uri": fields.pop("uri")} if "uri" in fields else {}
    return serve.client.post(f"/v2/images/{image_id}/import", json={"method": {"name": method, **uri}, **fields})


def test_staged_bytes_wait_for_their_import_and_are_active_after_it(serve: Serve) -> None:
    image_id = stage(serve, GOOD)
    image = serve.image(image_id)
    assert (image["status"], image["size"], image["os_glance_importing_to_stores"]) == ("uploading", len(GOOD), "")
    assert serve.tasks(image_id) == []
    response = request_import(serve, image_id)
    assert (response.status_code, response.content) == (202, b"")
    assert settled(serve, image_id)["status"] == "active"
    (task,) = serve.tasks(image_id)
    assert task["request_id"] == response.headers["x-openstack-request-id"]
    assert (task["status"], task["type"]) == ("success", "api_image_import")
    assert serve.client.get(f"/v2/images/{image_id}/file").content == GOOD


def test_staged_bytes_that_were_refused_fail_their_import(serve: Serve) -> None:
    image_id = stage(serve, BAD)
    assert serve.image(image_id)["status"] == "uploading"
    assert request_import(serve, image_id).status_code == 202
    image = settled(serve, image_id)
    assert (image["status"], image["os_glance_failed_import"], image["douane_code"]) == ("queued", "a", "bad")
    (task,) = serve.tasks(image_id)
    assert (task["status"], task["message"]) == ("failure", "the image says that it is bad")


def test_staged_bytes_that_are_refused_at_once_if_the_operator_wants_so(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path, "refuse_at_stage = true")) as serve:
        image_id = serve.create()
        response = serve.client.put(f"/v2/images/{image_id}/stage", content=BAD, headers=OCTETS)
        assert response.status_code == 400
        assert "says that it is bad" in response.json()["error"]["message"]
        assert serve.image(image_id)["status"] == "queued"


@pytest.mark.parametrize("fields", [{"stores": ["a", "b"]}, {"all_stores": True}])
def test_one_import_into_several_stores(serve: Serve, fields: dict[str, object]) -> None:
    image_id = stage(serve, GOOD)
    assert request_import(serve, image_id, **fields).status_code == 202
    assert settled(serve, image_id)["stores"] == "a,b"
    for name in ("a", "b"):
        assert (serve.home.parent / f"store-{name}" / "images" / image_id).read_bytes() == GOOD


def created_for(serve: Serve, store: str) -> str:
    fields = {"name": "n", "disk_format": "raw", "container_format": "bare"}
    response = serve.client.post("/v2/images", json=fields, headers={"X-Image-Meta-Store": store})
    assert response.status_code == 201
    return str(response.json()["id"])


@pytest.mark.parametrize(("stores", "holding"), [({}, "b"), ({"stores": ["a"]}, "a"), ({"all_stores": True}, "a,b")])
def test_an_image_that_was_made_for_a_store_is_imported_there_if_the_import_names_none(
    serve: Serve, stores: dict[str, object], holding: str
) -> None:
    image_id = created_for(serve, "b")
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=GOOD, headers=OCTETS).status_code == 204
    assert request_import(serve, image_id, **stores).status_code == 202
    assert settled(serve, image_id)["stores"] == holding


def test_an_upload_goes_into_the_store_that_the_image_was_made_for(serve: Serve) -> None:
    image_id = created_for(serve, "b")
    assert serve.client.put(f"/v2/images/{image_id}/file", content=GOOD, headers=OCTETS).status_code == 204
    assert serve.image(image_id)["stores"] == "b"


def test_an_active_image_is_copied_to_a_further_store(serve: Serve) -> None:
    image_id = stage(serve, GOOD)
    request_import(serve, image_id)
    settled(serve, image_id)
    assert request_import(serve, image_id, "copy-image", stores=["b"]).status_code == 202
    assert settled(serve, image_id)["stores"] == "a,b"
    assert request_import(serve, image_id, "copy-image", stores=["b"]).status_code == 409


def test_an_image_is_imported_from_a_url(serve: Serve, web: WebServer) -> None:
    image_id = serve.create()
    uri = f"http://127.0.0.1:{web.port}/image"
    assert request_import(serve, image_id, "web-download", uri=uri).status_code == 202
    assert settled(serve, image_id)["status"] == "active"
    assert serve.client.get(f"/v2/images/{image_id}/file").content == GOOD


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/x", "ftp://a.example/x", "http://nowhere.invalid/x", "http:///x"])
def test_a_url_that_cannot_be_read_is_refused_before_the_import_begins(serve: Serve, uri: str) -> None:
    image_id = serve.create()
    response = request_import(serve, image_id, "web-download", uri=uri)
    assert response.status_code == 400
    assert serve.image(image_id)["status"] == "queued"
    assert serve.tasks(image_id) == []


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("glance-direct", {}, 409),
        ("copy-image", {"stores": ["b"]}, 409),
        ("nonsense", {}, 400),
        ("web-download", {}, 400),
        ("web-download", {"uri": "http://127.0.0.1:1/x", "stores": ["c"]}, 409),
    ],
)
def test_an_import_that_cannot_be(serve: Serve, method: str, fields: dict[str, object], status: int) -> None:
    image_id = serve.create()
    assert request_import(serve, image_id, method, **fields).status_code == status
    assert serve.image(image_id)["status"] == "queued"


def test_of_two_imports_of_an_image_one_wins(serve: Serve) -> None:
    image_id = stage(serve, GOOD)
    statuses = [request_import(serve, image_id, all_stores=True).status_code for _ in range(2)]
    assert statuses == [202, 409]
    assert settled(serve, image_id)["status"] == "active"
    assert len(serve.tasks(image_id)) == 1


def test_formats_that_changed_after_the_stage_are_judged_again(serve: Serve) -> None:
    image_id = stage(serve, GOOD)
    change = [{"op": "add", "path": "/os_type", "value": "linux"}]
    form = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert serve.client.patch(f"/v2/images/{image_id}", json=change, headers=form).status_code == 200
    assert request_import(serve, image_id).status_code == 202
    assert settled(serve, image_id)["status"] == "active"


def test_an_import_that_runs_is_cancelled(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = stage(serve, GOOD * 16)
        write_config(tmp_path, seconds=0.5)
        _reload(serve)
        assert request_import(serve, image_id).status_code == 202
        until("a worker runs it", lambda: serve.tasks(image_id)[0]["status"] == "processing")
        assert serve.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 204
        assert serve.image(image_id)["status"] == "queued"
        (task,) = serve.tasks(image_id)
        assert (task["status"], "cancelled" in task["message"]) == ("failure", True)
        assert serve.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 409
        folder = tmp_path / "store-a" / "staging"
        until("the worker has stopped, and its bytes are gone", lambda: not list(folder.iterdir()))


def test_the_switch_stops_new_images_while_everything_else_goes_on(serve: Serve) -> None:
    image_id = stage(serve, GOOD)
    switch = serve.home / "run" / "no-imports"
    switch.touch()
    try:
        refused = request_import(serve, image_id)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        other = serve.create()
        response = serve.client.put(f"/v2/images/{other}/file", content=GOOD, headers=OCTETS)
        assert response.status_code == 503
        assert serve.client.get("/healthcheck").status_code == 200
    finally:
        switch.unlink()
    assert request_import(serve, image_id).status_code == 202
    assert settled(serve, image_id)["status"] == "active"


def _reload(serve: Serve) -> None:

    before = serve.log.read_text().count("was read again")
    serve.process.send_signal(signal.SIGHUP)
    until("the plan was read again", lambda: serve.log.read_text().count("was read again") > before)
