"""Requests that no client would send, as raw bytes: a 4xx with a sentence, nothing changed, and the service goes on."""

from __future__ import annotations

import json
import socket

import pytest

from support.serve import Serve, read_to_end, status_of

HOST = b"Host: localhost\r\nConnection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: 2\r\n"
TWO = b"\r\n2\r\n{}\r\n0\r\n\r\n"
JSON = b"Content-Type: application/json\r\n"


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.fixture(autouse=True)
def _goes_on(serve: Serve) -> object:
    yield
    assert serve.client.get("/healthcheck").status_code == 200
    assert "Traceback" not in serve.log.read_text()


@pytest.mark.parametrize("first", [CHUNKED, LENGTH])
def test_a_request_with_both_lengths_is_chunked_and_is_the_last_of_its_connection(serve: Serve, first: bytes) -> None:
    second = LENGTH if first is CHUNKED else CHUNKED
    hidden = b'POST /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\n\r\n{"name": "hidden"}'
    answer = serve.exchange(b"POST /v2/images HTTP/1.1\r\nHost: localhost\r\n" + first + second + TWO + hidden)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert serve.client.get("/v2/images?name=hidden").json()["images"] == []


@pytest.mark.parametrize(("method", "path"), [("POST", "/v2/tasks"), ("PUT", "/v2/images")])
def test_a_method_that_a_path_does_not_know_is_405_also_with_a_body(serve: Serve, method: str, path: str) -> None:
    response = serve.client.request(method, path, json={})
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize("lengths", [b"Content-Length: 2\r\nContent-Length: 3\r\n", b"Content-Length: 2, 3\r\n"])
def test_two_different_lengths_are_refused(serve: Serve, lengths: bytes) -> None:
    assert status_of(serve.exchange(b"POST /v2/images HTTP/1.1\r\n" + HOST + JSON + lengths + b"\r\n{} ")) == 400


@pytest.mark.parametrize("length", [b"-1", b"+2", b"0x2", b"2 2", b"x", b"99999999999999999999999"])
def test_a_length_that_is_no_number_is_refused(serve: Serve, length: bytes) -> None:
    request = b"POST /v2/images HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: " + length + b"\r\n\r\n{}"
    assert status_of(serve.exchange(request)) in (400, 413)


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked", b"chunked\x0b"])
def test_an_unknown_transfer_coding_is_refused(serve: Serve, coding: bytes) -> None:
    request = (
        b"POST /v2/images HTTP/1.1\r\n"
        + HOST
        + JSON
        + b"Transfer-Encoding: "
        + coding
        + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    assert status_of(serve.exchange(request)) in (400, 501)


def test_extensions_of_chunks_are_ignored(serve: Serve) -> None:
    request = b"POST /v2/images HTTP/1.1\r\n" + HOST + JSON + CHUNKED + b'\r\n2;a=b;c="d"\r\n{}\r\n0;e\r\n\r\n'
    assert status_of(serve.exchange(request)) == 201


def test_endless_extensions_of_chunks_are_refused(serve: Serve) -> None:
    request = (
        b"POST /v2/images HTTP/1.1\r\n" + HOST + JSON + CHUNKED + b"\r\n2;" + b"x" * (1 << 20) + b"\r\n{}\r\n0\r\n\r\n"
    )
    assert status_of(serve.exchange(request)) in (0, 400)


@pytest.mark.parametrize("size", [b"x", b"-1", b"FFFFFFFFFFFFFFFFF", b""])
def test_a_chunk_without_a_size_is_refused(serve: Serve, size: bytes) -> None:
    request = b"POST /v2/images HTTP/1.1\r\n" + HOST + JSON + CHUNKED + b"\r\n" + size + b"\r\n{}\r\n0\r\n\r\n"
    assert status_of(serve.exchange(request)) in (0, 400)


def test_headers_of_a_mebibyte_are_refused(serve: Serve) -> None:
    request = b"GET /v2/images HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * (1 << 20) + b"\r\n\r\n"
    assert status_of(serve.exchange(request)) in (0, 431)


def test_headers_of_100_kibibytes_are_refused_with_a_sentence(serve: Serve) -> None:
    answer = serve.exchange(b"GET /v2/images HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * (100 << 10) + b"\r\n\r\n")
    assert status_of(answer) == 431
    assert b"headers" in body_of(answer)


def test_a_thousand_headers_are_refused(serve: Serve) -> None:
    request = b"GET /v2/images HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n"
    assert status_of(serve.exchange(request)) == 431


@pytest.mark.parametrize(
    "path", [b"/v2/images/../images", b"/v2/images%2F", b"/v2/images/%2e%2e/x", b"/v2//images", b"*"]
)
def test_a_path_with_tricks_leads_nowhere(serve: Serve, path: bytes) -> None:
    assert status_of(serve.exchange(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")) in (400, 404)


def test_a_path_of_100_kibibytes_is_refused(serve: Serve) -> None:
    request = b"GET /v2/images/" + b"x" * (100 << 10) + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    assert status_of(serve.exchange(request)) == 414


def test_a_request_after_a_refused_body_is_not_taken_out_of_the_body(serve: Serve) -> None:
    inner = b'POST /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{"name": "smug"}'
    request = b"GET /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner
    answer = serve.exchange(request)
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    assert serve.client.get("/v2/images?name=smug").json()["images"] == []


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"a": 1, "a": 2}', b"\xff", b'{"name": "\\ud800"}', b"[" * 10_000])
def test_a_body_that_is_no_document_is_refused(serve: Serve, body: bytes) -> None:
    response = serve.client.post("/v2/images", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_a_document_that_is_too_long_is_refused(serve: Serve) -> None:
    response = serve.client.post("/v2/images", content=json.dumps({"name": "n" * (1 << 20)}))
    assert response.status_code == 413


def test_a_document_without_a_length_that_is_too_long_is_refused(serve: Serve) -> None:
    pieces = (b"x" * 65_536 for _ in range(64))
    assert serve.client.post("/v2/images", content=pieces).status_code == 413


def test_a_silent_client_is_dropped_with_408(serve: Serve) -> None:
    with serve.connect() as connection:
        connection.sendall(b"POST /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{")
        answer = read_to_end(connection)
    assert status_of(answer) == 408
    assert b"silent" in body_of(answer)


def test_small_calls_are_answered_beside_many_silent_uploads(serve: Serve) -> None:
    image_id = serve.create()
    request = f"PUT /v2/images/{image_id}/stage HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n"
    silent = [serve.connect() for _ in range(100)]
    try:
        for connection in silent:
            connection.sendall(request.encode() + b"Content-Type: application/octet-stream\r\n\r\n")
        assert serve.client.get(f"/v2/images/{image_id}").json()["status"] == "queued"
        assert {status_of(read_to_end(connection)) for connection in silent} == {408}
    finally:
        for connection in silent:
            connection.close()
    assert serve.image(image_id)["status"] == "queued"


def test_slow_headers_do_not_hold_up_others(serve: Serve) -> None:
    with serve.connect() as slow:
        slow.sendall(b"GET /v2/images HTTP/1.1\r\nHost:")
        assert serve.client.get("/v2/images").status_code == 200
        slow.shutdown(socket.SHUT_WR)
        assert status_of(read_to_end(slow)) in (0, 400, 408)


def test_a_compressed_body_is_refused(serve: Serve) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    response = serve.client.put(f"/v2/images/{serve.create()}/file", content=b"x", headers=headers)
    assert response.status_code == 415


def test_an_upload_with_another_content_type_is_refused(serve: Serve) -> None:
    response = serve.client.put(
        f"/v2/images/{serve.create()}/file", content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert response.status_code == 415


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30])
def test_an_announced_size_that_is_no_size_is_refused(serve: Serve, value: str) -> None:
    headers = {"Content-Type": "application/octet-stream", "X-OpenStack-Image-Size": value}
    response = serve.client.put(f"/v2/images/{serve.create()}/file", content=b"x", headers=headers)
    assert response.status_code == 400


def test_expect_is_refused_before_the_body(serve: Serve) -> None:
    request = f"PUT /v2/images/{serve.create()}/file HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    with serve.connect() as connection:
        connection.sendall(request.encode() + b"Content-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n")
        answer = read_to_end(connection)
    assert status_of(answer) == 415
    assert b"100 Continue" not in answer
