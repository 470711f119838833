"""The headers of an upload (IMAGE-API no. 17 and 19)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from douane.api.errors import HttpError
from douane.api.transfer.spool import require_room
from douane.api.transfer.upload import Upload, read_upload, require_queued, require_received
from douane.stores.file import FileStore


def upload(**headers: Any) -> Upload:
    return read_upload(**{"content_type": "application/octet-stream", **headers})


@pytest.mark.parametrize(
    ("headers", "announced"),
    [
        ({}, None),  # chunked
        ({"image_size": "7"}, 7),  # glanceclient: chunked
        ({"content_length": "7"}, 7),
        ({"content_length": "7", "image_size": "7"}, 7),  # openstacksdk
        ({"content_length": "0"}, 0),  # Nova, for a server that boots from a volume
        ({"content_type": "Application/Octet-Stream; charset=binary"}, None),
        ({"content_encoding": "identity"}, None),
        ({"content_length": "7", "limit": 7}, 7),
    ],
)
def test_an_upload_that_may_begin(headers: dict[str, Any], announced: int | None) -> None:
    assert upload(**headers) == Upload(announced=announced, store=None)


def test_the_header_names_a_store() -> None:
    assert upload(store="ceph").store == "ceph"


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"content_type": None}, 415, "application/octet-stream"),
        ({"content_type": "application/json"}, 415, "not 'application/json'"),
        ({"content_encoding": "gzip"}, 415, "'gzip' is not known"),
        ({"image_size": "x"}, 400, "X-OpenStack-Image-Size is 'x'"),
        ({"image_size": ""}, 400, "a number of bytes"),
        ({"image_size": "-1"}, 400, "a number of bytes"),
        ({"image_size": "1e3"}, 400, "a number of bytes"),
        ({"image_size": "٣"}, 400, "a number of bytes"),
        ({"image_size": str(2**63)}, 400, "a number of bytes"),
        ({"content_length": "9" * 5000}, 400, "a number of bytes"),
        ({"content_length": "0", "image_size": "8"}, 400, "its file was at its end"),
        ({"content_length": "7", "image_size": "8"}, 400, "is 8, and Content-Length is 7"),
        ({"content_length": "8", "limit": 7}, 413, "more than 7 bytes"),
        ({"image_size": "8", "limit": 7}, 413, "more than 7 bytes"),
        ({"store": "a\nb"}, 400, "not the name of a store"),
    ],
)
def test_an_upload_that_is_refused(headers: dict[str, Any], status: int, words: str) -> None:
    with pytest.raises(HttpError, match=words) as error:
        upload(**headers)
    assert error.value.status == status


@pytest.mark.parametrize(
    ("status", "code"),
    [("uploading", 409), ("importing", 409), ("active", 409), ("deactivated", 409), ("deleted", 410)],
)
def test_only_a_queued_image_takes_bytes(status: str, code: int) -> None:
    require_queued("queued")
    with pytest.raises(HttpError) as error:
        require_queued(status)
    assert error.value.status == code


@pytest.mark.parametrize("received", [0, 6, 8])
def test_a_body_of_another_size_is_no_image(received: int) -> None:
    require_received(upload(image_size="7"), 7)
    require_received(upload(), received)
    with pytest.raises(HttpError, match="announced 7 bytes") as error:
        require_received(upload(image_size="7"), received)
    assert error.value.status == 400


def test_an_upload_without_room_is_503_and_the_operator_reads_what_has_to_stay_free(tmp_path: Path) -> None:
    require_room(FileStore(tmp_path), None)
    with pytest.raises(HttpError) as error:
        require_room(FileStore(tmp_path), 2**62)
    assert error.value.status == 503
    assert int(error.value.headers["Retry-After"]) > 0
    assert "free, and uploads leave 256.0 MiB" in (error.value.detail or "")
