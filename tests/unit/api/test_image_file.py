"""Downloads, by the application without a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.api.transfer.downloading import PIECE
from support.api import ADMIN, OTHER, OWNER, READER, Api

CONTENT = bytes(range(256)) * 12_000


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    opened = Api(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def path(api: Api) -> str:
    image_id = api.create(disk_format="raw", container_format="bare")["id"]
    api.activate(image_id, CONTENT, ("file", "second"))
    return f"/v2/images/{image_id}/file"


def test_a_download_has_all_bytes_and_the_digest(api: Api, path: str) -> None:
    response = api.request("GET", path)
    assert len(CONTENT) > PIECE
    assert response.content == CONTENT
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-md5"] == "0" * 32
    assert response.headers["content-length"] == str(len(CONTENT))


@pytest.mark.parametrize(("header", "first", "last"), [("bytes=3-9", 3, 9), ("bytes=-5", -5, -1), ("bytes=9-", 9, -1)])
def test_a_range(api: Api, path: str, header: str, first: int, last: int) -> None:
    response = api.request("GET", path, headers={"Range": header})
    assert response.status_code == 206
    assert response.content == CONTENT[first:][: len(CONTENT) if last == -1 else last - first + 1]


@pytest.mark.parametrize(
    ("header", "status"), [(f"bytes={len(CONTENT)}-", 416), ("bytes=x", 416), ("bytes=0-1,3-4", 400)]
)
def test_a_range_that_cannot_be_served(api: Api, path: str, header: str, status: int) -> None:
    assert api.request("GET", path, headers={"Range": header}).status_code == status


def test_an_image_without_data_is_204(api: Api) -> None:
    response = api.request("GET", f"/v2/images/{api.create()['id']}/file")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers


def test_a_deactivated_image_is_for_administrators(api: Api, path: str) -> None:
    assert api.request("POST", path.replace("/file", "/actions/deactivate")).status_code == 204
    assert api.request("GET", path, OWNER).status_code == 403
    assert api.request("GET", path, ADMIN).content == CONTENT


def test_who_may_download(api: Api, path: str) -> None:
    assert api.request("GET", path, READER).status_code == 403
    assert api.request("GET", path, OTHER).status_code == 404


def test_another_store_serves_an_image_that_one_has_lost(api: Api, path: str) -> None:
    image_id = path.split("/")[3]
    api.stores["file"].delete(image_id)
    assert api.request("GET", path).content == CONTENT
    api.stores["second"].delete(image_id)
    response = api.request("GET", path)
    assert response.status_code == 503
    assert response.headers["retry-after"]


def test_a_file_that_became_shorter_is_not_served_as_if_it_were_whole(api: Api, path: str, tmp_path: Path) -> None:
    image_id = path.split("/")[3]
    api.stores["second"].delete(image_id)
    with open(tmp_path / "file" / "images" / image_id, "r+b") as file:
        file.truncate(10)
    assert api.request("GET", path).status_code >= 500
