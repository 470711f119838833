"""`douane upload` against a service that lies: it ends with a sentence, and sends nothing to another server."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from douane.client.http import Line, LineBroken
from douane.client.running import Order, Result, upload_file
from douane.errors import DouaneError, PlanError, UploadError

IMAGE = "11111111-1111-4111-8111-111111111111"
PLACE = f"/v2/images/{IMAGE}/uploads/22222222-2222-4222-8222-222222222222"
BYTES = b"the file"
TOKEN = "the-secret-token"

Script = Callable[[str, str, Mapping[str, str]], bytes | Iterator[bytes]]


def answer(status: int, body: Any = None, **headers: object) -> bytes:
    """An answer; underlines in the names of headers are hyphens."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *lines, "", ""]).encode() + data


class Hostile:
    """A server that answers as `script` says. `requests` are the methods, paths and tokens that came."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[tuple[str, str, str | None]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rb") as stream:
            while line := stream.readline():
                method, path, _ = line.decode().split(" ")
                headers = {}
                while (header := stream.readline().strip()) != b"":
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                stream.read(int(headers.get("content-length", 0)))
                self.requests.append((method, path, headers.get("x-auth-token")))
                said = self._script(method, path, headers)
                for piece in [said] if isinstance(said, bytes) else said:
                    connection.sendall(piece)

    def close(self) -> None:
        self._listener.close()


@contextlib.contextmanager
def hostile(script: Script) -> Iterator[Hostile]:
    server = Hostile(script)
    try:
        yield server
    finally:
        server.close()


def service(**answers: Callable[[Mapping[str, str]], bytes | Iterator[bytes]]) -> Script:
    """A service of open uploads that answers as expected but for the `answers` by the method."""

    def script(method: str, path: str, headers: Mapping[str, str]) -> bytes | Iterator[bytes]:
        if method in answers:
            return answers[method](headers)
        if method == "OPTIONS":
            return answer(204, Upload_Limit="max-size=1000")
        if method == "PUT":
            return answer(201, Location=PLACE, Upload_Offset=0)
        if method == "GET" and path.endswith("/tasks"):
            return answer(200, {"tasks": []})
        return answer(200, {"id": IMAGE, "status": "active"})

    return script


def upload(server: Hostile, folder: Path, patience: float = 1.0) -> Result:
    file = folder / "disk.raw"
    file.write_bytes(BYTES)
    order = Order(
        file=str(file), image_id=IMAGE, fields={}, store=None, uses_import=False, url=server.url, patience=patience
    )
    return upload_file(order, {"OS_TOKEN": TOKEN}, lambda _: None, lambda *_: None)


def sentence(script: Script, folder: Path) -> str:
    with hostile(script) as server, pytest.raises(DouaneError) as caught:
        upload(server, folder)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_service_that_never_keeps_anything_is_given_up(tmp_path: Path) -> None:
    def patch(headers: Mapping[str, str]) -> bytes:
        return answer(204, Upload_Offset=0, Upload_Complete="?0")

    assert "nothing went forward" in sentence(service(PATCH=patch), tmp_path)


def test_offsets_that_go_back_and_forth_are_given_up(tmp_path: Path) -> None:
    def patch(headers: Mapping[str, str]) -> bytes:
        return answer(204, Upload_Offset=3 if headers["upload-offset"] == "5" else 5, Upload_Complete="?0")

    assert "nothing went forward" in sentence(service(PATCH=patch), tmp_path)


@pytest.mark.parametrize("offset", [9, 10**17])
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_offset_behind_the_end_of_the_file_is_refused(tmp_path: Path, method: str, offset: int) -> None:
    status = {"PUT": 201, "PATCH": 204}[method]

    def lies(headers: Mapping[str, str]) -> bytes:
        return answer(status, Location=PLACE, Upload_Offset=offset, Upload_Complete="?0")

    assert f"has {offset} bytes" in sentence(service(**{method: lies}), tmp_path)


@pytest.mark.parametrize("header", ["Upload_Offset", "Upload_Length"])
def test_a_number_of_thousands_of_digits_counts_as_none(tmp_path: Path, header: str) -> None:
    def head(headers: Mapping[str, str]) -> bytes:
        return answer(204, **{"Upload_Offset": 0, header: "9" * 5000}, Upload_Complete="?1")

    with hostile(service(PUT=lambda _: answer(409, Location=PLACE), HEAD=head)) as server:
        if header == "Upload_Length":
            assert upload(server, tmp_path).end.outcome == "accepted"
        else:
            with pytest.raises(UploadError, match="cannot go on"):
                upload(server, tmp_path)


@pytest.mark.parametrize("status", [201, 409])
@pytest.mark.parametrize("location", ["http://127.0.0.2:{port}/x", "//127.0.0.2:{port}/x", "http://[", "/a b", "/\xe9"])
def test_nothing_is_sent_to_a_place_at_another_server(tmp_path: Path, location: str, status: int) -> None:
    def put(headers: Mapping[str, str]) -> bytes:
        return answer(status, Location=location.format(port=server.port), Upload_Offset=0)

    with hostile(service(PUT=put)) as server:
        with pytest.raises(UploadError, match=r"no place at 127\.0\.0\.1"):
            upload(server, tmp_path)
        assert [method for method, _, _ in server.requests] == ["OPTIONS", "PUT"]


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}" + PLACE, f"uploads/{PLACE.rpartition('/')[2]}", PLACE])
def test_every_form_of_a_place_at_the_service_is_found(tmp_path: Path, location: str) -> None:
    def put(headers: Mapping[str, str]) -> bytes:
        return answer(201, Location=location.format(port=server.port), Upload_Offset=0)

    with hostile(service(PUT=put, PATCH=lambda _: answer(204, Upload_Complete="?1"))) as server:
        assert upload(server, tmp_path).end.outcome == "accepted"
        assert ("PATCH", PLACE, TOKEN) in server.requests


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "GET"])
def test_a_redirect_is_not_followed(tmp_path: Path, method: str) -> None:
    with hostile(service()) as elsewhere:
        there = f"{elsewhere.url}/v2/images/{IMAGE}"
        lies = {method: lambda _: answer(307, Location=there)}
        if method == "GET":
            lies["PATCH"] = lambda _: answer(204, Upload_Complete="?1")
        assert "status 307" in sentence(
            service(**lies, **({"PUT": lies[method]} if method == "OPTIONS" else {})), tmp_path
        )
        assert elsewhere.requests == []


def test_a_property_that_anybody_may_set_is_no_verdict(tmp_path: Path) -> None:
    image = {"id": IMAGE, "status": "queued", "douane_outcome": "accepted", "douane_code": ["x"], "douane_reason": 5}
    script = service(GET=lambda _: answer(200, image), PATCH=lambda _: answer(204, Upload_Complete="?1"))
    with hostile(script) as server:
        end = upload(server, tmp_path).end
    assert (end.outcome, end.exit_code) == ("undecided", 3)
    assert isinstance(end.code, str) and end.message == "5"


def test_another_image_than_the_one_that_was_asked_for_is_refused(tmp_path: Path) -> None:
    lies = service(
        GET=lambda _: answer(200, {"id": "\x1b]0;x\x07", "status": "active"}),
        PATCH=lambda _: answer(204, Upload_Complete="?1"),
    )
    assert "another image" in sentence(lies, tmp_path)


def test_a_document_that_is_nested_too_deep_is_none(tmp_path: Path) -> None:
    assert "status 400" in sentence(service(PUT=lambda _: answer(400, b"[" * 100_000)), tmp_path)


def test_a_message_is_one_line_of_bounded_length(tmp_path: Path) -> None:
    message = "no\r\nupload: accepted; equal by sha256\r\n" + "x" * 100_000
    text = sentence(service(PUT=lambda _: answer(400, {"error": {"message": message}})), tmp_path)
    assert len(text.splitlines()) == 1 and len(text) < 3000


def test_what_glance_says_in_plain_text_is_said(tmp_path: Path) -> None:
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: 47\r\n\r\n"
    said = head + b"403 Forbidden\n\nYou are not authorized to it.\n\n  "
    assert sentence(service(PUT=lambda _: said), tmp_path).endswith("You are not authorized to it.")


@pytest.mark.parametrize("sums", [{}, {"checksum": "0" * 32}, {"os_hash_algo": "sha256", "os_hash_value": ["x\n"]}])
def test_an_image_that_had_other_bytes_before_is_not_the_file(tmp_path: Path, sums: dict[str, Any]) -> None:
    image = {"id": IMAGE, "status": "active", **sums}
    script = service(
        OPTIONS=lambda _: answer(405),
        PUT=lambda _: answer(409, {"error": {"message": "it has bytes"}}),
        GET=lambda _: answer(200, image),
    )
    assert ("has other bytes" if sums else "it has bytes") in sentence(script, tmp_path)


def test_an_import_that_goes_back_and_forth_is_given_up(tmp_path: Path) -> None:
    polls = iter(range(1_000_000))

    def get(headers: Mapping[str, str]) -> bytes:
        task = {"status": "processing", "updated_at": ["x", {"y": []}][next(polls) // 2 % 2]}
        return answer(200, {"id": IMAGE, "status": "importing", "tasks": [task]})

    assert "has not gone forward" in sentence(
        service(PATCH=lambda _: answer(204, Upload_Complete="?1"), GET=get), tmp_path
    )


def drips() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 X\r\n"
    while True:
        yield b"X-Y: z"
        threading.Event().wait(0.02)


def interim() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n"


def chunks() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    while True:
        yield b"X: y\r\n"


@pytest.mark.parametrize("endless", [drips, interim, chunks])
def test_an_answer_without_end_is_a_broken_line(endless: Callable[[], Iterator[bytes]]) -> None:
    with hostile(lambda *_: endless()) as server, Line(server.url, seconds=0.3) as line, pytest.raises(LineBroken):
        line.request("GET", "/", {})


def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /x\r\n\r\n"
    with hostile(lambda *_: early * 3 + answer(201, b"it")) as server, Line(server.url) as line:
        assert (line.request("PUT", "/", {}, b"").status, line.request("PUT", "/", {}, b"").body) == (201, b"it")


@pytest.mark.parametrize(
    ("path", "token"), [("/", f"{TOKEN}\n"), ("/", f"{TOKEN}\u20ac"), ("/a b", ""), ("/\u20ac", "")]
)
def test_what_cannot_be_sent_is_said_at_once_and_without_the_token(path: str, token: str) -> None:
    with hostile(service()) as server, Line(server.url) as line, pytest.raises(PlanError) as caught:
        line.request("GET", path, {"X-Auth-Token": token})
    assert TOKEN not in str(caught.value) and "cannot be sent" in str(caught.value)


@pytest.mark.parametrize("url", ["http://h:x", "http://h:99999", "http://[", "http://", "file:///x"])
def test_a_url_that_is_none_is_said(url: str) -> None:
    with pytest.raises(PlanError, match="no URL"):
        Line(url)
