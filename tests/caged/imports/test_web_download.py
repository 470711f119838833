"""The import method web-download, against real servers on loopback. Only the name service is not the real one."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from douane.errors import SourceError
from douane.imports.base import open_import
from douane.imports.settings.structs import ServeSettings, WebDownloadSettings
from douane.imports.settings.values import Duration, Size, parse_host_rule
from douane.imports.web import connection as web_connection
from douane.imports.web import download as web_download
from douane.imports.web.download import WebSource, probe
from douane.stream.ring import Ring, RingStopped
from support.ring_reader import Reader, pump
from support.web_server import Request, Script, WebServer, image, reply, server_context

HOST = "images.example.org"
CONTENT = os.urandom(3_000_000)
LOCAL = (parse_host_rule("127.0.0.0/8"),)


def resolver(*addresses: str) -> Callable[[str, int], list[Any]]:
    return lambda host, port: [ipaddress.ip_address(each) for each in addresses or ("127.0.0.1",)]


def settings(port: int, **web: Any) -> ServeSettings:
    values = {"allow": LOCAL, "ports": (port,), "attempts": 3, "stall": Duration(20), **web}
    return ServeSettings(web_download=WebDownloadSettings(**values))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_download, "BACKOFF_SECONDS", 0.01)


def url(server: WebServer, path: str = "/image") -> str:
    return f"http://{HOST}:{server.port}{path}"


def download(server: WebServer, path: str = "/image", **web: Any) -> bytes:
    return pump(WebSource(url(server, path), settings(server.port, **web), resolver=resolver())).content


def failure(server: WebServer, path: str = "/image", **web: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        download(server, path, **web)
    return caught.value


def cut(script: Script, after: int, times: int = 1, how: Callable[[socket.socket], None] = lambda _: None) -> Script:
    """The same server, which sends only `after` bytes of its answer to the first `times` requests."""

    def cutting(request: Request, connection: socket.socket) -> None:
        if request.number >= times:
            return script(request, connection)

        class Short:
            def sendall(self, data: bytes) -> None:
                head, _, body = data.partition(b"\r\n\r\n")
                connection.sendall(head + b"\r\n\r\n" + body[:after])

        script(request, Short())  # type: ignore[arg-type]
        return how(connection)

    return cutting


def test_the_image_comes_as_the_server_has_it_and_asks_for_no_compression():
    with WebServer(image(CONTENT)) as server:
        source = WebSource(url(server, "/a?b=c"), settings(server.port), resolver=resolver())
        assert (source.size, source.name, source.file()) == (len(CONTENT), f"the image at {HOST}", None)
        assert pump(source).content == CONTENT
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/a?b=c")
    assert request.headers["host"] == f"{HOST}:{server.port}"
    assert request.headers["accept-encoding"] == "identity" and "authorization" not in request.headers


def test_the_method_is_in_the_table_of_methods():
    with WebServer(image(b"bytes")) as server:
        allowed = settings(server.port)
        source = open_import("web-download", f"http://127.0.0.1:{server.port}/", settings=allowed)
        assert pump(source).content == b"bytes"
        with pytest.raises(SourceError, match="does not pass filtering"):
            open_import("web-download", f"http://127.0.0.1:{server.port}/")


def test_a_body_in_chunks_has_an_end():
    def chunks(request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    with WebServer(chunks) as server:
        source = WebSource(url(server), settings(server.port), resolver=resolver())
        assert source.size is None and pump(source).content == b"abcde"


def test_an_empty_image_is_no_error_of_the_download():
    with WebServer(image(b"")) as server:
        assert download(server) == b""


@pytest.mark.parametrize("after", [0, 1, 65_536, 1_500_000, len(CONTENT) - 1])
def test_a_download_that_breaks_continues_at_the_byte_that_is_missing(after):
    with WebServer(cut(image(CONTENT), after)) as server:
        assert download(server) == CONTENT
    second = server.requests[1].headers
    assert (second.get("range"), second.get("if-range")) == ((f"bytes={after}-", '"v1"') if after else (None, None))


def test_a_connection_that_is_reset_is_one_that_broke():
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with WebServer(cut(image(CONTENT), 1_000_000, how=reset)) as server:
        assert download(server) == CONTENT
    assert len(server.requests) == 2


def test_many_breaks_are_survived_as_long_as_bytes_come():
    with WebServer(cut(image(CONTENT), 400_000, times=7)) as server:
        assert download(server) == CONTENT
    assert len(server.requests) == 8


def test_a_server_that_is_silent_is_a_connection_that_broke():
    release = threading.Event()
    with WebServer(cut(image(CONTENT), 500_000, how=lambda _: release.wait(60))) as server:
        assert download(server, stall=Duration(0.2)) == CONTENT
        release.set()


def test_attempts_are_bounded_and_the_rest_is_never_invented():
    with WebServer(cut(image(CONTENT), 0, times=99)) as server:
        error = failure(server)
    assert error.code == "not-downloaded" and HOST in str(error) and len(server.requests) == 3
    dead = cut(lambda r, c: image(CONTENT)(r, c) if r.number == 0 else None, 1000, times=1)
    with WebServer(dead) as server:
        error = failure(server)
    assert error.code == "truncated" and "after 1000 bytes" in str(error) and len(server.requests) == 3


def on_resume(script: Script, after: int = 1000) -> Script:
    """A server whose first answer breaks off, and that answers the next requests by `script`."""
    first = cut(image(CONTENT), after)
    return lambda request, connection: (first if request.number == 0 else script)(request, connection)


def part(begin: int, end: int, total: int | str, **headers: object) -> Script:
    fields = {"ETag": '"v1"', "Content_Range": f"bytes {begin}-{end - 1}/{total}", **headers}
    return lambda request, connection: reply(connection, 206, CONTENT[begin:end], **fields)


SIZE = len(CONTENT)
CHANGES: dict[str, tuple[Script, str]] = {
    "another image": (image(CONTENT, etag='"v2"'), "it answered 200 when the rest was asked for"),
    "shorter now": (lambda r, c: reply(c, 416, Content_Range="bytes */10"), "it answered 416"),
    "gone": (lambda r, c: reply(c, 404), "it answered 404"),
    "no ranges after all": (image(CONTENT, ranges=False), "it answered 200"),
    "another length": (part(1000, SIZE, SIZE + 1), "its length is another now"),
    "a part of the rest": (part(1000, 2000, SIZE), "its length is another now"),
    "other bytes": (part(999, SIZE, SIZE), "it sent other bytes"),
    "an unknown length": (part(1000, SIZE, "*"), "its length is another now"),
    "another ETag": (part(1000, SIZE, SIZE, ETag='"v2"'), "its ETag is another now"),
    "compressed": (part(1000, SIZE, SIZE, Content_Encoding="gzip"), "it sent the rest in another form"),
    "no range": (part(1000, SIZE, SIZE, Content_Range=None), "it sent other bytes"),
    "no end": (part(1000, SIZE, SIZE, Content_Length=None), "it sent the rest in another form"),
    "a length that contradicts": (part(1000, SIZE, SIZE, Content_Length=5), "it sent a part of what"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_image_that_changed_between_two_connections_is_an_error(change):
    script, problem = CHANGES[change]
    with WebServer(on_resume(script)) as server:
        error = failure(server)
    assert error.code == "changed-while-read" and problem in str(error) and HOST in str(error)


@pytest.mark.parametrize(("etag", "ranges"), [(None, True), ('W/"weak"', True), ('"v1"', False)])
def test_a_download_that_cannot_continue_is_an_error(etag, ranges):
    with WebServer(cut(image(CONTENT, etag=etag, ranges=ranges), 1000)) as server:
        error = failure(server)
    assert error.code == "truncated" and "does not let a download continue" in str(error)
    assert len(server.requests) == 1


def test_the_time_of_the_last_change_serves_where_there_is_no_etag():
    date = "Sun, 29 Nov 2026 10:00:00 GMT"

    def script(request: Request, connection: socket.socket) -> None:
        if "range" not in request.headers:
            reply(connection, 200, CONTENT, Last_Modified=date)
        else:
            assert request.headers["if-range"] == date
            part(1000, SIZE, SIZE, ETag=None, Last_Modified=date)(request, connection)

    with WebServer(cut(script, 1000)) as server:
        assert download(server) == CONTENT


def test_a_server_that_is_busy_is_asked_again():
    def busy(request: Request, connection: socket.socket) -> None:
        reply(connection, 503) if request.number < 2 else image(CONTENT)(request, connection)

    with WebServer(busy) as server:
        assert download(server) == CONTENT
    with WebServer(lambda r, c: reply(c, 503)) as server:
        error = failure(server)
    assert error.code == "not-downloaded" and f"{HOST} answered 503" in str(error) and len(server.requests) == 3


WRONG_ANSWERS: dict[str, tuple[Script, str]] = {
    "not there": (lambda r, c: reply(c, 404, b"secret of the server"), "answered 404"),
    "no content": (lambda r, c: c.sendall(b"HTTP/1.1 204 X\r\n\r\n"), "answered 204"),
    "a part": (lambda r, c: reply(c, 206, b"abc", Content_Range="bytes 0-2/9"), "answered 206"),
    "compressed": (lambda r, c: reply(c, 200, b"abc", Content_Encoding="gzip"), "with a Content-Encoding"),
    "no end": (lambda r, c: reply(c, 200, b"abc", Content_Length=None), "does not say how long the image is"),
    "too long": (lambda r, c: reply(c, 200, b"", Content_Length=10**12), "is larger than 10 MiB"),
    "no HTTP": (lambda r, c: c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not speak HTTP"),
    "two lengths": (
        lambda r, c: c.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        "does not speak HTTP",
    ),
    "no place": (lambda r, c: reply(c, 302), "a redirect that leads nowhere"),
    "a header without an end": (lambda r, c: c.sendall(b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 100_000), "speak HTTP"),
}


@pytest.mark.parametrize("kind", WRONG_ANSWERS)
def test_an_answer_that_is_no_image_is_refused_by_the_probe_and_by_the_download(kind):
    script, reason = WRONG_ANSWERS[kind]
    with WebServer(script) as server:
        limits = {"max_size": Size(10 << 20), "attempts": 1}
        error = failure(server, **limits)
        with pytest.raises(SourceError) as probed:
            probe(url(server), settings(server.port, **limits), resolver=resolver())
    for each in (error, probed.value):
        assert reason in str(each) and HOST in str(each) and "secret" not in str(each)
        assert each.code in ("not-downloaded", "longer-than-announced")


def test_a_body_without_end_stops_at_the_limit():
    def endless(request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")

    with WebServer(endless) as server:
        error = failure(server, max_size=Size(2 << 20))
    assert error.code == "longer-than-announced"


def test_a_slow_server_fails_by_its_rate(monkeypatch):
    monkeypatch.setattr(web_connection, "RATE_SECONDS", 0.2)
    ended = threading.Event()

    def drip(request: Request, connection: socket.socket) -> None:
        reply(connection, 200, b"", Content_Length=10**6)
        while not ended.wait(0.01):
            connection.sendall(b"x")

    with WebServer(drip) as server:
        error = failure(server, min_rate=Size(10_000))
        ended.set()
    assert error.code == "too-slow" and f"{HOST} sends too slowly" in str(error)


def test_a_download_has_a_time():
    ended = threading.Event()
    with WebServer(cut(image(CONTENT), 10, times=9, how=lambda _: ended.wait(60))) as server:
        error = failure(server, timeout=Duration(0.3))
        ended.set()
    assert error.code == "too-slow" and "longer than 0.3 seconds" in str(error)


def test_a_run_that_ends_stops_the_wait_for_a_silent_server():
    ended, ring = threading.Event(), Ring()
    with WebServer(cut(image(CONTENT), 10, times=9, how=lambda _: ended.wait(60))) as server:
        source = WebSource(url(server), settings(server.port, stall=Duration(600)), resolver=resolver())
        ring.attach(Reader(ring))
        stopped: list[type[BaseException]] = []

        def run() -> None:
            try:
                source.pump(ring)
            except RingStopped:
                stopped.append(RingStopped)

        thread = threading.Thread(target=run)
        thread.start()
        ring.stop()
        thread.join(60)
        source.close()
        ended.set()
    assert stopped == [RingStopped]
    ring.close()


def test_redirects_are_followed_and_a_loop_has_an_end():
    def script(request: Request, connection: socket.socket) -> None:
        if request.target == "/image":
            reply(connection, 302, Location="/elsewhere?token=1")
        elif request.target == "/loop":
            reply(connection, 307, Location="/loop")
        else:
            image(CONTENT)(request, connection)

    with WebServer(script) as server:
        assert download(server) == CONTENT
        error = failure(server, "/loop")
        assert "redirects more than 5 times" in str(error) and len(server.requests) == 2 + 6


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://169.254.169.254:{port}/latest", "its address is not public"),
        ("http://internal.example.org:{port}/", "the operator denies this host"),
        ("http://[::1]:{port}/", "its address is not public"),
        ("http://images.example.org:22/", "port 22"),
        ("http://u:p@images.example.org:{port}/", "a user or a password"),
        ("file:///etc/passwd", "does not pass filtering"),
        ("gopher://images.example.org:{port}/", "a URL begins with"),
    ],
)
def test_a_redirect_is_checked_as_the_url_was(location, reason):
    denied = (parse_host_rule("internal.example.org"),)
    with WebServer(lambda r, c: reply(c, 302, Location=location.format(port=server.port))) as server:
        allow = {"allow": (*LOCAL, parse_host_rule("169.0.0.0/16")), "deny": denied}
        error = failure(server, **allow) if "169" not in location else failure(server, private=False, deny=denied)
    assert error.code == "not-allowed" and "does not pass filtering" in str(error)
    assert HOST in str(error) and len(server.requests) == 1
    assert reason in str(error) or "other hosts only" in str(error)


def test_a_redirect_that_expired_is_asked_for_again():
    """As object stores do it: the redirect leads to a URL that is valid for a time."""
    valid = ["/signed-1"]

    def script(request: Request, connection: socket.socket) -> None:
        if request.target == "/image":
            reply(connection, 302, Location=valid[-1])
        elif request.target == valid[-1]:
            cut(image(CONTENT), 1000, times=2)(request, connection)
            valid.append("/signed-2")
        else:
            reply(connection, 403)

    with WebServer(script) as server:
        assert download(server) == CONTENT
    assert [each.target for each in server.requests] == ["/image", "/signed-1", "/signed-1", "/image", "/signed-2"]


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",), ("10.1.2.3",), ("::1",), ("::ffff:127.0.0.1",), ("64:ff9b::7f00:1",),
        ("93.184.216.34", "127.0.0.1"),
    ],
)  # fmt: skip
def test_a_name_with_an_address_that_is_not_public_is_never_connected_to(addresses):
    with WebServer(image(CONTENT)) as server:
        plain = settings(server.port, allow=())
        for attempt in (probe, WebSource):
            with pytest.raises(SourceError, match="does not pass filtering: its address is not public") as caught:
                attempt(url(server), plain, resolver=resolver(*addresses))
            assert HOST in str(caught.value) and not any(each in str(caught.value) for each in addresses)
        assert server.accepted == 0


def test_a_name_that_resolves_differently_later_changes_nothing():
    """DNS rebinding: the check and the connection use one answer; a further connection is checked anew."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address(each) for each in (answers.pop(0) if answers else ["169.254.169.254"])]

    with WebServer(cut(image(CONTENT), 1000)) as server:
        allowed = settings(server.port, allow=(parse_host_rule("127.0.0.1"),))
        source = WebSource(url(server), allowed, resolver=rebinding)
        assert asked == [HOST]
        with pytest.raises(SourceError, match="does not pass filtering"):
            pump(source)
        assert asked == [HOST, HOST] and server.accepted == 1


def test_an_address_that_does_not_answer_leaves_the_next():
    with WebServer(image(CONTENT)) as server:
        source = WebSource(url(server), settings(server.port), resolver=resolver("127.9.9.9", "127.0.0.1"))
        assert pump(source).content == CONTENT


def test_a_name_without_address_and_a_closed_port_are_sentences():
    def none(host: str, port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with WebServer(image(CONTENT)) as server:
        port = server.port
        with pytest.raises(SourceError, match=f"the host {HOST} has no address"):
            probe(url(server), settings(port), resolver=none)
    with pytest.raises(SourceError, match=f"{HOST} accepts no connections on port {port}"):
        probe(url(server), settings(port), resolver=resolver())


def test_a_resolver_that_does_not_answer_ends_with_the_time_of_the_probe():
    ended = threading.Event()

    def silent(host: str, port: int) -> list[Any]:
        ended.wait(60)
        return []

    with pytest.raises(SourceError, match=HOST):
        probe(f"http://{HOST}:1/", settings(1, probe_timeout=Duration(0.2)), resolver=silent)
    ended.set()


def test_a_server_that_does_not_answer_the_probe_is_not_there():
    ended = threading.Event()
    with WebServer(lambda r, c: ended.wait(60)) as server:  # type: ignore[arg-type, return-value]
        with pytest.raises(SourceError, match=f"{HOST} does not answer in time") as caught:
            probe(url(server), settings(server.port, probe_timeout=Duration(0.3)), resolver=resolver())
        ended.set()
    assert caught.value.code == "not-downloaded"


def test_the_probe_reads_the_beginning_only():
    with WebServer(image(CONTENT)) as server:
        seen = probe(url(server), settings(server.port), resolver=resolver())
    assert (seen.host, seen.size, CONTENT.startswith(seen.first_bytes)) == (HOST, SIZE, True)
    assert 0 < len(seen.first_bytes) <= 4096


@pytest.mark.parametrize("name", ["sha256", "sha512", "md5"])
def test_the_expected_digest_is_checked_over_all_connections(name):
    digest = hashlib.new(name, CONTENT).hexdigest()
    with WebServer(cut(image(CONTENT), 1_000_000)) as server:
        assert download(server, f"/image#{name}={digest}") == CONTENT
        assert [each.target for each in server.requests] == ["/image", "/image"]
        error = failure(server, f"/image#{name}={'0' * len(digest)}")
    assert error.code == "wrong-digest" and digest in str(error)


def test_no_proxy_of_the_environment_is_asked(monkeypatch):
    with WebServer(lambda r, c: reply(c, 500)) as proxy, WebServer(image(CONTENT)) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert download(server) == CONTENT
        assert proxy.accepted == 0


def test_the_operators_proxy_gets_the_name_and_rules_about_names_hold():
    with WebServer(image(CONTENT)) as proxy:
        through = {"proxy": f"http://127.0.0.1:{proxy.port}", "allow": (parse_host_rule(HOST),), "ports": (80,)}
        source = WebSource(f"http://{HOST}/image", settings(80, **through), resolver=web_connection.system_resolver)
        assert pump(source).content == CONTENT
        assert proxy.requests[0].target == f"http://{HOST}/image"
        with pytest.raises(SourceError, match="other hosts only"):
            WebSource("http://b.example.org/image", settings(80, **through))


def test_credentials_are_sent_and_in_no_message():
    with WebServer(lambda r, c: reply(c, 401)) as server, pytest.raises(SourceError) as caught:
        WebSource(
            f"http://us:secret@{HOST}:{server.port}/",
            settings(server.port, credentials=True),
            resolver=resolver(),
        )
    assert server.requests[0].headers["authorization"] == "Basic dXM6c2VjcmV0"
    assert "secret" not in str(caught.value) and "answered 401" in str(caught.value)


def tls(folder: Path, host: str = HOST, **how: Any) -> tuple[Any, dict[str, Any]]:
    context, authority = server_context(folder, host, **how)
    return context, {"ca_file": str(authority)}


def test_https_uses_the_name_for_the_certificate_whatever_the_address_is(tmp_path):
    context, trust = tls(tmp_path)
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    with WebServer(cut(image(CONTENT), 1_000_000), context) as server:
        source = WebSource(
            f"https://{HOST}:{server.port}/", settings(server.port, **trust), resolver=resolver("127.0.0.1")
        )
        assert pump(source).content == CONTENT
    assert names == [HOST, HOST] and len(server.requests) == 2


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"host": "other.example.org"}, "certificate of images.example.org is not valid: Hostname mismatch"),
        ({"days": (-9, -1)}, "certificate of images.example.org is not valid: certificate has expired"),
    ],
)
def test_a_certificate_for_another_name_or_time_is_refused_at_once(tmp_path, how, reason):
    context, trust = tls(tmp_path, **how)
    with WebServer(image(CONTENT), context) as server:
        with pytest.raises(SourceError) as caught:
            WebSource(f"https://{HOST}:{server.port}/", settings(server.port, **trust), resolver=resolver())
        assert reason in str(caught.value) and (server.accepted, server.requests) == (1, [])
        with pytest.raises(SourceError, match="is not valid"):
            WebSource(f"https://{HOST}:{server.port}/", settings(server.port), resolver=resolver())


def test_https_is_never_left_for_http(tmp_path):
    context, trust = tls(tmp_path)
    with WebServer(image(CONTENT)) as plain:
        with WebServer(lambda r, c: reply(c, 302, Location=url(plain)), context) as server:
            allowed = msgspec.structs.replace(
                settings(server.port), web_download=settings(1, ports=(server.port, plain.port), **trust).web_download
            )
            with pytest.raises(SourceError, match="it leads from https to http"):
                WebSource(f"https://{HOST}:{server.port}/", allowed, resolver=resolver())
        assert plain.accepted == 0


def test_the_systems_resolver_is_checked_as_well():
    with WebServer(image(CONTENT)) as server:
        local = (*LOCAL, parse_host_rule("::1"))
        assert probe(f"http://localhost:{server.port}/", settings(server.port, allow=local)).size == SIZE
        for spelling in ("localhost", "0x7f.1", "2130706433", "127.1", "017700000001"):
            with pytest.raises(SourceError, match="does not pass filtering: its address is not public"):
                probe(f"http://{spelling}:{server.port}/", settings(server.port, allow=()))
        assert server.accepted == 1


def test_chunks_that_break_off_are_never_a_shorter_image():
    def broken(request: Request, connection: socket.socket) -> None:
        connection.sendall(
            b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n' + CONTENT[:1000]
        )
        if request.number:
            return
        connection.sendall(b"\r\n")

    with WebServer(broken) as server:
        error = failure(server)
    assert error.code == "changed-while-read" and "it answered 200 when the rest was asked for" in str(error)
    with WebServer(on_resume(part(1000, SIZE, SIZE))) as server:
        assert download(server) == CONTENT


def tunnel(request: Request, connection: socket.socket) -> None:
    """A proxy that resolves every name to loopback."""
    assert request.method == "CONNECT"
    with socket.create_connection(("127.0.0.1", int(request.target.rpartition(":")[2]))) as far:
        connection.sendall(b"HTTP/1.1 200 X\r\n\r\n")

        def copy(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    target.sendall(data)
            for each in (source, target):  # also if one side broke: the other thread would wait for ever
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        back = threading.Thread(target=copy, args=(far, connection), daemon=True)
        back.start()
        copy(connection, far)
        back.join(60)


def test_https_by_the_operators_proxy_is_a_tunnel_to_the_host(tmp_path):
    context, trust = tls(tmp_path)
    with WebServer(image(CONTENT), context) as server, WebServer(tunnel) as proxy:
        through = {"proxy": f"http://127.0.0.1:{proxy.port}", "allow": (parse_host_rule(HOST),), **trust}
        source = WebSource(f"https://{HOST}:{server.port}/", settings(server.port, **through), resolver=no_names)
        assert pump(source).content == CONTENT
        assert [each.target for each in proxy.requests] == [f"{HOST}:{server.port}"]
    with WebServer(lambda r, c: reply(c, 403)) as proxy:
        through["proxy"] = f"http://127.0.0.1:{proxy.port}"
        with pytest.raises(SourceError, match=f"the proxy does not reach {HOST}"):
            WebSource(f"https://{HOST}:{server.port}/", settings(server.port, **through), resolver=no_names)


def no_names(host: str, port: int) -> list[Any]:
    assert host == "127.0.0.1", "only the proxy's own address is resolved here"
    return [ipaddress.ip_address(host)]
