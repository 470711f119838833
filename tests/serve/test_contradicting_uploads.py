"""Open uploads whose requests contradict themselves or each other: nothing is let in that was not sent as the image."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support.judged import settled, write_config
from support.open_uploads import IMAGE, append, begin, offset_of, opened
from support.serve import Serve, read_to_end, serving, status_of
from support.waiting import until

KEPT = 64 << 20
"""While bytes come, so many are made durable at once."""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("judged")
    with serving(folder / "home", write_config(folder)) as started:
        yield started


def answer_to(serve: Serve, method: str, path: str, lines: list[str], body: bytes) -> tuple[int, bytes]:
    """The status of an answer and the answer, to headers that a client library would not send."""
    with serve.connect() as connection:
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
        connection.sendall("\r\n".join([*head, *lines, "", ""]).encode() + body)
        answer = read_to_end(connection)
    return status_of(answer), answer


@pytest.mark.parametrize("values", [["?0", "?1"], ["?0, ?1"], ["false"], ["?2"], ["0"], [""]])
def test_a_first_part_is_never_taken_for_the_whole_image(judged: Serve, values: list[str]) -> None:
    image_id = judged.create()
    lines = [f"{name}: {value}" for name, value in IMAGE.items()] + [f"Upload-Complete: {value}" for value in values]
    status, answer = answer_to(judged, "PUT", f"/v2/images/{image_id}/file", lines, b"a part")
    assert status == 400 and b"The header Upload-Complete" in answer
    assert judged.image(image_id)["status"] == "queued"


@pytest.mark.parametrize("values", [["3", "9"], ["-1"], ["4.5"], ["9" * 16], [""]])
def test_a_length_that_is_no_number_is_not_passed_over(judged: Serve, values: list[str]) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    lines = ["Content-Type: application/partial-upload", "Upload-Offset: 0", "Upload-Complete: ?0"]
    lines += [f"Upload-Length: {value}" for value in values]
    status, answer = answer_to(judged, "PATCH", path, lines, b"part")
    assert status == 400 and b"Upload-Length" in answer
    assert offset_of(judged, path) == 0


@pytest.mark.parametrize("length", [5, None])
def test_an_upload_that_announced_bytes_makes_no_empty_image(judged: Serve, length: int | None) -> None:
    image_id = judged.create()
    path = opened(judged, image_id, length=length)
    more = {} if length else {"Upload-Length": "5"}
    response = append(judged, path, iter([]), 0, last=True, **more)  # in chunks: there is no Content-Length
    assert response.status_code == 400
    assert response.headers["upload-complete"] == "?0"
    assert response.json()["type"].endswith("#inconsistent-upload-length")
    assert append(judged, path, b"bytes", 0, last=True).status_code == 204
    assert settled(judged, image_id)["size"] == 5


def test_bytes_after_the_end_are_refused_however_they_are_sent(judged: Serve) -> None:
    image_id = judged.create()
    path = opened(judged, image_id)
    assert append(judged, path, b"bytes", 0, last=True).status_code == 204
    for more in (b"more", iter([b"more"])):
        response = append(judged, path, more, 5, last=True)
        assert response.status_code == 409 and "is complete" in response.text
    assert append(judged, path, iter([]), 5, last=True).status_code == 204
    assert judged.client.get(f"/v2/images/{image_id}/file").content == b"bytes"


def test_the_offset_of_a_first_part_that_still_comes_is_kept_when_another_goes_on(judged: Serve) -> None:
    image_id = judged.create()
    first = os.urandom(1 << 20)
    lines = [f"{name}: {value}" for name, value in {**IMAGE, "Upload-Complete": "?0"}.items()]
    head = [f"PUT /v2/images/{image_id}/file HTTP/1.1", "Host: localhost", f"Content-Length: {2 * KEPT}", *lines]
    with judged.connect() as dead:
        dead.sendall("\r\n".join([*head, "", ""]).encode())
        for _ in range(70):
            dead.sendall(first)
        again = until("the upload is known", lambda: begin(judged, image_id).headers.get("location"))
        offset = offset_of(judged, again)
        assert offset >= KEPT
        response = append(judged, again, b"the rest", offset, last=True)
        assert response.status_code == 204, response.text
        assert status_of(read_to_end(dead)) == 409
    sent = (first * 71)[:offset] + b"the rest"
    assert judged.client.get(f"/v2/images/{image_id}/file").content == sent


def test_a_first_part_that_breaks_off_keeps_what_was_made_durable(judged: Serve) -> None:
    image_id = judged.create()
    first = os.urandom(1 << 20)
    lines = [f"{name}: {value}" for name, value in {**IMAGE, "Upload-Complete": "?0"}.items()]
    head = [f"PUT /v2/images/{image_id}/stage HTTP/1.1", "Host: localhost", f"Content-Length: {2 * KEPT}", *lines]
    with judged.connect() as broken:
        broken.sendall("\r\n".join([*head, "", ""]).encode())
        for _ in range(70):
            broken.sendall(first)
        again = until("the upload is known", lambda: begin(judged, image_id, "stage").headers.get("location"))
    offset = offset_of(judged, again)
    assert KEPT <= offset <= 70 << 20
    assert append(judged, again, b"", offset, last=True).status_code == 204
    assert judged.client.delete(f"/v2/images/{image_id}").status_code == 204
