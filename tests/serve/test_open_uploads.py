"""Uploads whose bytes come in several requests, over lines that break off, against the real service."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.judged import settled, write_config
from support.open_uploads import IMAGE, PART, VERSION, append, begin, begin_part, offset_of, opened
from support.serve import Serve, read_to_end, serving, status_of
from support.waiting import until

DATA = os.urandom(3_000_000)
DOORS = pytest.mark.parametrize("door", ["file", "stage"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("judged")
    with serving(folder / "home", write_config(folder, 'max_image_size = "4MiB"')) as started:
        yield started


@pytest.fixture
def judged(running: Serve) -> Iterator[Serve]:
    """The service, without images of the test before."""
    yield running
    for image in running.client.get("/v2/images").json()["images"]:
        assert running.client.delete(f"/v2/images/{image['id']}").status_code == 204
    until("no bytes are staged", lambda: not staged(running))


def staged(serve: Serve) -> list[Path]:
    return list((serve.home.parent / "store-a" / "staging").iterdir())


def content(serve: Serve, image_id: str) -> bytes:
    return serve.client.get(f"/v2/images/{image_id}/file").content


def is_queued_without_bytes(serve: Serve, image_id: str) -> None:
    assert settled(serve, image_id)["status"] == "queued"
    until("no bytes are staged", lambda: not staged(serve))


@DOORS
def test_an_upload_in_three_parts_becomes_the_image(judged: Serve, door: str) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, door, length=len(DATA), first=DATA[:1000])
    for start, stop in ((1000, 1_000_000), (1_000_000, 1_000_001)):
        response = append(judged, path, DATA[start:stop], start)
        assert response.status_code == 204
        assert response.headers["upload-offset"] == str(stop)
        assert response.headers["upload-complete"] == "?0"
    response = append(judged, path, DATA[1_000_001:], 1_000_001, last=True)
    assert (response.status_code, response.headers["upload-complete"]) == (204, "?1")
    if door == "stage":
        body = {"method": {"name": "glance-direct"}}
        assert judged.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202
    assert settled(judged, image_id)["status"] == "active"
    assert content(judged, image_id) == DATA
    assert not staged(judged)


def test_a_part_in_chunks_without_a_length_goes_on_to_its_end(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    pieces = (DATA[start : start + 70_000] for start in range(0, len(DATA), 70_000))
    assert append(judged, path, pieces, 0).headers["upload-offset"] == str(len(DATA))
    assert append(judged, path, b"", len(DATA), last=True).status_code == 204
    assert content(judged, image_id) == DATA


@DOORS
def test_what_arrived_before_the_line_broke_is_kept(judged: Serve, door: str) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, door, length=len(DATA))
    with begin_part(judged, path, 0, len(DATA), DATA[:1_500_000]) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert status_of(read_to_end(connection)) in (0, 400)
    assert offset_of(judged, path) == 1_500_000
    assert append(judged, path, DATA[1_500_000:], 1_500_000, last=True).status_code == 204
    assert offset_of(judged, path) == len(DATA)


def test_the_offset_ends_a_part_whose_line_is_dead(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    with begin_part(judged, path, 0, len(DATA), DATA[:700_000]) as dead:
        until("bytes arrive", lambda: any(os.stat(path).st_size for path in staged(judged)))
        offset = offset_of(judged, path)
        answer = read_to_end(dead)
        assert status_of(answer) == 409 and b"Another request goes on" in answer
    assert 0 < offset <= 700_000
    assert append(judged, path, DATA[offset:], offset, last=True).status_code == 204
    assert content(judged, image_id) == DATA


def test_of_two_that_append_at_once_the_later_wins_and_bytes_never_mix(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    earlier_bytes = b"w" * 600_000
    with begin_part(judged, path, 0, len(DATA), earlier_bytes) as earlier:
        until("bytes arrive", lambda: any(os.stat(path).st_size for path in staged(judged)))
        response = append(judged, path, DATA, 0, last=True)  # the earlier part is put away first
        assert response.status_code == 409
        offset = response.json()["expected-offset"]
        assert status_of(read_to_end(earlier)) == 409
    response = append(judged, path, DATA[offset:], offset, last=True)
    assert response.status_code == 204
    assert content(judged, image_id) == earlier_bytes[:offset] + DATA[offset:]


def test_an_offset_that_is_not_the_end_of_what_is_kept_is_a_problem(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, first=DATA[:10])
    for offset in (0, 9, 11):
        response = append(judged, path, b"x", offset)
        assert response.status_code == 409
        assert response.headers["content-type"] == "application/problem+json"
        assert (response.headers["upload-offset"], response.headers["upload-complete"]) == ("10", "?0")
        document = response.json()
        assert document["type"].endswith("#mismatching-upload-offset")
        assert (document["expected-offset"], document["provided-offset"]) == (10, offset)
    assert offset_of(judged, path) == 10


@pytest.mark.parametrize(
    ("length", "first", "more"),
    [(10, b"x" * 11, {}), (10, b"", {"Upload-Length": "11"}), (None, b"abc", {"Upload-Length": "2"})],
)
def test_lengths_that_do_not_fit_are_a_problem_and_change_nothing(
    judged: Serve, length: int | None, first: bytes, more: dict[str, str]
) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, length=length)
    response = append(judged, path, first, 0, **more)
    assert response.status_code == 400
    assert response.json()["type"].endswith("#inconsistent-upload-length")
    assert offset_of(judged, path) == 0
    assert append(judged, path, b"x" * 10, 0, last=True).status_code == 204


def test_the_end_of_an_upload_that_is_too_short_is_refused_and_it_stays_open(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, length=10)
    assert append(judged, path, iter([b"12345"]), 0, last=True).status_code == 400
    assert offset_of(judged, path) == 5
    assert append(judged, path, b"67890", 5, last=True).status_code == 204
    assert content(judged, image_id) == b"1234567890"


def test_an_upload_that_grows_over_its_length_ends(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, length=10)
    assert append(judged, path, iter([b"12345", b"678901"]), 0).status_code == 400
    assert judged.client.head(path).status_code == 404
    is_queued_without_bytes(judged, image_id)


def test_the_greatest_size_is_said_and_kept(judged: Serve) -> None:
    image_id = judged.create()
    limit = judged.client.options(f"/v2/images/{image_id}/file").headers["upload-limit"]
    assert limit == f"max-size={4 << 20}, max-age=86400"
    response = begin(judged, image_id, length=(4 << 20) + 1)
    assert (response.status_code, response.headers["upload-limit"]) == (413, limit)
    path = opened(judged, image_id)
    response = append(judged, path, bytes((4 << 20) + 1), 0)
    assert response.status_code == 413 and "max-size" in response.headers["upload-limit"]
    assert offset_of(judged, path) == 0
    assert append(judged, path, (bytes(1 << 20) for _ in range(5)), 0).status_code == 413
    assert judged.client.head(path).status_code == 404
    is_queued_without_bytes(judged, image_id)


@DOORS
def test_a_refused_image_is_refused_by_the_answer_to_the_last_part(judged: Serve, door: str) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, door)
    response = append(judged, path, b"bad" + DATA, 0, last=True)
    assert response.headers["upload-complete"] == "?1"
    assert response.status_code == (422 if door == "file" else 204)
    if door == "file":
        assert response.headers["x-douane-code"] == "bad"
        is_queued_without_bytes(judged, image_id)


@pytest.mark.parametrize("first", [DATA, b"bad"], ids=["accepted", "refused"])
def test_who_lost_the_last_answer_asks_again_and_gets_it(judged: Serve, first: bytes) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    with begin_part(judged, path, 0, len(first), first) as lost:
        answer = read_to_end(lost)
    response = append(judged, path, b"", len(first), last=True)
    assert response.status_code == (204 if first is DATA else 422) == status_of(answer)
    assert response.headers["upload-complete"] == "?1"
    assert append(judged, path, b"x", len(first)).status_code == 409


def test_an_upload_without_a_byte_makes_an_empty_image_as_an_ordinary_upload_does(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    assert append(judged, path, b"", 0, last=True).status_code == 204
    assert (judged.image(image_id)["status"], judged.image(image_id)["size"]) == ("active", 0)
    assert judged.client.head(path).headers["upload-complete"] == "?1"


@DOORS
def test_a_cancelled_upload_frees_the_image_and_its_bytes(judged: Serve, door: str) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, door)
    with begin_part(judged, path, 0, len(DATA), DATA[:700_000]) as connection:
        until("bytes arrive", lambda: any(os.stat(path).st_size for path in staged(judged)))
        assert judged.client.delete(path).status_code == 204
        assert status_of(read_to_end(connection)) == 409
    is_queued_without_bytes(judged, image_id)
    assert judged.client.delete(path).status_code == 404
    assert append(judged, path, b"x", 0).status_code == 404
    assert opened(judged, image_id, door) != path


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_an_import_that_is_cancelled_and_an_image_that_is_deleted_end_the_part(judged: Serve, end: str) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    with begin_part(judged, path, 0, len(DATA), DATA[:700_000]) as connection:
        until("bytes arrive", lambda: any(os.stat(path).st_size for path in staged(judged)))
        if end == "cancel":
            assert judged.client.post(f"/v2/images/{image_id}/actions/cancel_import").status_code == 204
        else:
            assert judged.client.delete(f"/v2/images/{image_id}").status_code == 204
        assert status_of(read_to_end(connection)) == (409 if end == "cancel" else 410)
    assert judged.client.head(path).status_code == 404
    until("no bytes are staged", lambda: not staged(judged))


def test_an_upload_that_nobody_receives_goes_with_its_image(judged: Serve) -> None:
    image_id = judged.create()
    opened(judged, image_id, first=DATA)
    assert judged.client.delete(f"/v2/images/{image_id}").status_code == 204
    assert not staged(judged)


def test_who_begins_again_is_shown_the_upload_that_is_there(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, first=DATA[:5])
    response = begin(judged, image_id)
    assert (response.status_code, response.headers["location"]) == (409, path)
    assert offset_of(judged, path) == 5


def test_a_first_part_that_is_cut_off_leaves_nothing(judged: Serve) -> None:
    image_id = judged.create()
    with judged.connect() as connection:
        head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(DATA)}\r\n"
        lines = [f"{name}: {value}\r\n" for name, value in {**IMAGE, "Upload-Complete": "?0"}.items()]
        connection.sendall(f"{head}{''.join(lines)}\r\n".encode() + DATA[:1_000_000])
        until("bytes arrive", lambda: judged.image(image_id)["status"] == "importing")
    is_queued_without_bytes(judged, image_id)


@pytest.mark.parametrize("version", [None, "7", "x"])
def test_a_first_part_of_another_version_of_the_draft_is_refused(judged: Serve, version: str | None) -> None:
    image_id = judged.create()
    headers = {**IMAGE, "Upload-Complete": "?0", "Upload-Draft-Interop-Version": version}
    headers = {name: value for name, value in headers.items() if value is not None}
    response = judged.client.put(f"/v2/images/{image_id}/file", content=b"part", headers=headers)
    assert response.status_code == 400 and "version 8" in response.text
    assert judged.image(image_id)["status"] == "queued"


def test_an_upload_that_says_it_is_whole_is_an_ordinary_upload(judged: Serve) -> None:
    image_id = judged.create()
    headers = {**IMAGE, "Upload-Complete": "?1", "Upload-Length": str(len(DATA))}
    response = judged.client.put(f"/v2/images/{image_id}/file", content=DATA, headers=headers)
    assert (response.status_code, response.headers["upload-complete"]) == (204, "?1")
    assert content(judged, image_id) == DATA


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/octet-stream"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Upload-Offset": "-1"}, 400),
        ({"Upload-Offset": "0x0"}, 400),
        ({"Upload-Offset": "9" * 16}, 400),
        ({"Upload-Complete": "1"}, 400),
        ({"Upload-Draft-Interop-Version": "6"}, 400),
    ],
)
def test_a_part_whose_headers_are_wrong_is_refused(judged: Serve, headers: dict[str, str], status: int) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    every = {**PART, "Upload-Offset": "0", "Upload-Complete": "?0", **headers}
    assert judged.client.patch(path, content=b"x", headers=every).status_code == status
    assert offset_of(judged, path) == 0


def test_an_ordinary_upload_is_no_upload_resource(judged: Serve) -> None:
    image_id = judged.create()
    other_id = judged.create()
    path = opened(judged, other_id)
    for place in (path.replace(other_id, image_id), f"/v2/images/{image_id}/uploads/x", f"{path[:-1]}/"):
        assert judged.client.head(place, headers=VERSION).status_code == 404


def test_a_client_that_falls_silent_keeps_what_it_sent(serve: Serve) -> None:
    image_id = serve.create()
    path = opened(serve, image_id, length=len(DATA))
    with begin_part(serve, path, 0, len(DATA), DATA[:100_000]) as connection:
        answer = read_to_end(connection)
    assert status_of(answer) == 408 and b"upload-offset: 100000" in answer
    assert offset_of(serve, path) == 100_000


def test_an_upload_that_its_client_never_completes_expires(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path, 'staged_expiry = "1s"')) as serve:
        image_id = serve.create()
        path = opened(serve, image_id, first=DATA)
        document = settled(serve, image_id)
        assert (document["status"], document["douane_code"]) == ("queued", "expired")
        assert serve.client.head(path).status_code == 404
        until("no bytes are staged", lambda: not staged(serve))


def test_a_service_without_room_keeps_what_it_has_and_asks_to_come_again(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nreal = os.statvfs\n"
        "def statvfs(path):\n"
        f"    status = real(path)\n    if not os.path.exists({str(tmp_path / 'full')!r}):\n        return status\n"
        "    values = list(status)\n    values[4] = 0\n    return os.statvfs_result((*values, 0))\n"
        "os.statvfs = statvfs\n"
    )
    path_before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        with serving(tmp_path / "home", write_config(tmp_path)) as serve:
            path = opened(serve, serve.create(), first=DATA[:1000])
            (tmp_path / "full").touch()
            response = append(serve, path, DATA[1000:], 1000)
            assert response.status_code == 503 and int(response.headers["retry-after"]) > 0
            assert offset_of(serve, path) == 1000
            (tmp_path / "full").unlink()
            assert append(serve, path, DATA[1000:], 1000, last=True).status_code == 204
    finally:
        os.environ.pop("PYTHONPATH") if path_before is None else os.environ.update(PYTHONPATH=path_before)


def test_a_drained_service_takes_no_part_until_it_takes_imports_again(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, first=DATA[:1000])
    switch = judged.home / "run" / "no-imports"
    switch.touch()
    try:
        response = append(judged, path, DATA[1000:], 1000)
        assert response.status_code == 503 and response.headers["retry-after"]
        assert offset_of(judged, path) == 1000
        assert 'step="open"} 1.0' in until("it is counted", lambda: judged.client.get("/metrics").text)
    finally:
        switch.unlink()
    assert append(judged, path, DATA[1000:], 1000, last=True).status_code == 204


def test_many_uploads_at_once_do_not_touch_each_other(judged: Serve) -> None:
    results: dict[int, bytes] = {}

    def send(number: int) -> None:
        data = bytes([number]) * 300_000
        image_id = judged.create()
        path = opened(judged, image_id)
        with httpx.Client(base_url=judged.url, timeout=60) as client:
            for start in range(0, len(data), 100_000):
                last = start + 100_000 == len(data)
                headers = {**PART, "Upload-Offset": str(start), "Upload-Complete": f"?{int(last)}"}
                assert client.patch(path, content=data[start : start + 100_000], headers=headers).status_code == 204
        results[number] = content(judged, image_id)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: bytes([number]) * 300_000 for number in range(8)}
