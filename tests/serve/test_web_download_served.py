"""web-download in a real service, from a request to the image and the page: the URL is tried before the 202."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.serve import Serve, serving
from support.waiting import until
from support.web_server import Request, WebServer, image, reply

CONTENT = os.urandom(3_000_000)


def answer(request: Request, connection: socket.socket) -> None:
    if request.target == "/loop":
        reply(connection, 302, Location="/loop")
    elif request.target == "/metadata":
        reply(connection, 302, Location="http://169.254.169.254/latest")
    elif request.target == "/gone":
        reply(connection, 404)
    else:
        image(CONTENT)(request, connection)


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with WebServer(answer) as running:
        yield running


@pytest.fixture(scope="module")
def serve(server: WebServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder: Path = tmp_path_factory.mktemp("web")
    (folder / "douane.toml").write_text(
        '[[plugin]]\nname = "format"\nuse = "format"\n'
        f'[serve.web_download]\nallow = ["127.0.0.1", "*.example.org"]\nports = [{server.port}]\n'
    )
    with serving(folder / "home", folder / "douane.toml", "--workers", "1") as running:
        yield running


def request(serve: Serve, image_id: str, uri: str):
    body = {"method": {"name": "web-download", "uri": uri}}
    return serve.client.post(f"/v2/images/{image_id}/import", json=body)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://127.0.0.1:{port}/loop", "127.0.0.1 redirects more than 5 times"),
        ("http://127.0.0.1:{port}/metadata", "does not pass filtering"),
        ("http://127.0.0.1:{port}/gone", "127.0.0.1 answered 404"),
        ("http://127.0.0.1:{port}/image#sha256=12", "does not pass filtering: behind # is the expected digest"),
        ("http://169.254.169.254:{port}/", "169.254.169.254 does not pass filtering"),
        ("http://127.0.0.1:22/", "does not pass filtering: its port 22"),
        ("http://user:pass@127.0.0.1:{port}/", "'127.0.0.1', has a user's name"),
    ],
)
def test_a_url_that_brings_no_image_is_answered_with_400_and_the_image_stays_queued(serve, server, uri, words):
    image_id = serve.create(name="n")
    refused = request(serve, image_id, uri.format(port=server.port))
    assert refused.status_code == 400 and words in refused.json()["error"]["message"]
    assert serve.image(image_id)["status"] == "queued" and serve.tasks(image_id) == []


def test_an_image_comes_in_with_its_digest_and_another_does_not(serve: Serve, server: WebServer) -> None:
    for digest, status in ((hashlib.sha256(CONTENT).hexdigest(), "active"), ("0" * 64, "queued")):
        image_id = serve.create(name="from the web")
        assert request(serve, image_id, f"http://127.0.0.1:{server.port}/image#sha256={digest}").status_code == 202

        def ended(image_id: str = image_id) -> bool:
            return serve.tasks(image_id)[0]["status"] in ("success", "failure")

        until("the import has ended", ended)
        assert serve.image(image_id)["status"] == status
        [task] = serve.tasks(image_id)
        page = serve.client.get(f"/ui/imports/{task['id']}").text
        assert "download from the web" in page and "from the web" in page
        if status == "queued":
            assert "which the URL asks for" in task["message"] and "wrong-digest" in page
            assert serve.image(image_id)["os_glance_failed_import"] == "file"
        else:
            assert serve.client.get(f"/v2/images/{image_id}/file").content == CONTENT
