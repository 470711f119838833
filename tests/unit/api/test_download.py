"""The answer to a download (IMAGE-API no. 18), and the URL of the service (no. 1)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from douane.api.documents.base_url import base_url
from douane.api.errors import HttpError
from douane.api.transfer.download import Download, answer_download
from douane.catalog import Image

DIGESTS = {"md5": "0" * 32, "sha256": "1" * 64}
TAG = f'"{"1" * 64}"'


@pytest.fixture
def active(image: Image) -> Image:
    return msgspec.structs.replace(image, status="active", size=100, digests=DIGESTS)


COMMON = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": TAG}
FULL = Download(status=200, headers={**COMMON, "Content-MD5": "0" * 32, "Content-Length": "100"}, start=0, stop=100)
PART = Download(
    status=206, headers={**COMMON, "Content-Range": "bytes 90-99/100", "Content-Length": "10"}, start=90, stop=100
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, FULL),
        ({"range_header": "bytes=90-"}, PART),
        ({"range_header": "bytes=-10"}, PART),
        ({"content_range": "bytes 90-99/100"}, PART),
        ({"range_header": "bytes=90-", "if_range": TAG}, PART),
        ({"range_header": "bytes=90-", "if_range": '"other"'}, FULL),
        ({"range_header": "bytes=90-", "if_range": f"W/{TAG}"}, FULL),
        ({"range_header": "bytes=900-", "if_range": '"other"'}, FULL),
    ],
)
def test_an_image_is_sent_whole_or_in_part(active: Image, headers: dict[str, Any], expected: Download) -> None:
    assert answer_download(active, **headers) == expected


@pytest.mark.parametrize("status", ["queued", "uploading", "importing"])
def test_an_image_without_data_is_no_content(active: Image, status: str) -> None:
    waiting = msgspec.structs.replace(active, status=status)
    assert answer_download(waiting, range_header="bytes=0-") == Download(status=204, headers={})


def test_an_empty_image_has_a_length_of_zero(active: Image) -> None:
    empty = msgspec.structs.replace(active, size=0, digests={})
    answer = answer_download(empty)
    assert (answer.status, answer.headers["Content-Length"], answer.start, answer.stop) == (200, "0", 0, 0)
    assert not {"ETag", "Content-MD5"} & answer.headers.keys()


def test_a_range_beyond_the_end_is_refused(active: Image) -> None:
    with pytest.raises(HttpError) as error:
        answer_download(active, range_header="bytes=100-")
    assert error.value.status == 416


@pytest.mark.parametrize(
    ("public", "headers", "url"),
    [
        ("https://images.test/glance/", {"host": "evil"}, "https://images.test/glance"),
        (None, {"host": "127.0.0.1:9292"}, "http://127.0.0.1:9292"),
        (None, {"host": "[::1]:9292"}, "http://[::1]:9292"),
        (None, {"host": "in", "forwarded_host": "out.test", "forwarded_proto": "https"}, "https://out.test"),
        (None, {"host": "in", "forwarded_host": "a.test, b.test", "forwarded_proto": "HTTPS, http"}, "https://a.test"),
    ],
)
def test_the_url_of_the_service(public: str | None, headers: dict[str, str], url: str) -> None:
    assert base_url(public, scheme="http", **headers) == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": None},
        {"host": ""},
        {"host": "a/b"},
        {"host": "a b"},
        {"host": "user@a"},
        {"host": "a\r\nX: y"},
        {"host": "<script>"},
        {"host": "x" * 300},
        {"host": "a:123456"},
        {"host": "a", "forwarded_proto": "javascript"},
        {"host": "a", "forwarded_host": "b?c"},
    ],
)
def test_a_host_that_is_none_does_not_come_back(headers: dict[str, Any]) -> None:
    with pytest.raises(HttpError) as error:
        base_url(None, scheme="http", **headers)
    assert error.value.status == 400
