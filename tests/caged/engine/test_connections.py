"""A plugin makes connections to its grants while it works; Douane makes them, outside the sandbox."""

from __future__ import annotations

import os
import pwd
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.errors import PlanError
from douane.host.connection_budget import OPEN_AT_ONCE
from support import wire_programs
from support.services import Service, shout
from support.wire_programs import compiled

PLUGINS = Path(__file__).parent / "plugins" / "connecting.py"


@pytest.fixture(params=[False, True], ids=["tcp", "unix"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(unix=request.param) as service:
        yield service


@pytest.fixture
def settled(service: Service, nothing_left: None) -> Iterator[None]:
    """Nothing is left, also in the service, whose threads are in this process."""
    yield
    service.settle()


def plan(cls: str, target: str, *lines: str, gate: str = "") -> str:
    grants = f'svc = "{target}"' + (f', gate = "{gate}"' if gate else "")
    return "\n".join(["[[plugin]]", 'name = "asks"', f'use = "{PLUGINS}:{cls}"', f"grants = {{ {grants} }}", *lines])


def test_each_connection_is_a_new_one(run, service, settled) -> None:
    report = run(os.urandom(3 << 20), toml=plan("Asks", service.target, 'config = { words = ["a", "b", "c"] }'))
    assert report.outcome == "accepted", report
    assert report.properties["asks.answers"] == "A B C"
    assert service.accepted == 4  # with the one that was made before the first byte
    assert service.hung_up(4)


def test_threads_and_processes_ask_at_the_same_time(run, service, settled) -> None:
    words = [f"w{number}" for number in range(12)]
    config = f"config = {{ words = {words}, threads = true }}"
    report = run(b"image", toml=plan("Asks", service.target, config))
    assert report.properties["asks.answers"] == " ".join(words).upper(), report
    report = run(b"image", toml=plan("Processes", service.target, f"config = {{ words = {words} }}", "processes = 20"))
    assert report.properties["asks.answers"] == " ".join(words).upper(), report


def http_server(requests: int) -> Service:
    """Answers so many requests on each connection, and hangs up. The connection made before the first byte waits for
    its client, and is hung up as an idle one: the server sends nothing and reads nothing there."""
    first = threading.Event()

    def serve(connection: socket.socket) -> None:
        if not first.is_set():
            first.set()
            return  # the time for keeping it alive is over
        for number in range(requests):
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(4096)
                if not part:
                    return
                request += part
            path = request.split(b" ")[1]
            last = b"Connection: close\r\n" if number == requests - 1 else b""
            connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (last, len(path), path))

    return Service(serve)


@pytest.mark.parametrize("requests", [1, 2, 3])
def test_an_http_server_that_hangs_up_is_asked_again(run, requests, nothing_left) -> None:
    with http_server(requests) as service:
        report = run(os.urandom(1 << 20), toml=plan("Http", service.target))
        assert report.outcome == "accepted", report
        assert report.properties["asks.answers"] == "/a/b/c"
        assert service.accepted == 1 + -(-3 // requests)


def test_no_more_connections_than_allowed(run, service, settled) -> None:
    report = run(b"image", toml=plan("Hoards", service.target))
    assert report.properties["asks.connections"] == OPEN_AT_ONCE, report
    assert "no more are allowed at once" in report.properties["asks.reason"]
    assert service.hung_up(OPEN_AT_ONCE + 1)  # they end with the plugin


def test_a_service_that_goes_down_is_an_error_with_its_reason(run, service, settled) -> None:
    def stop_it(connection: socket.socket) -> None:
        connection.recv(10)
        service.stop()
        connection.sendall(b"x")

    log: list[tuple[str, int, str]] = []
    with Service(stop_it) as gate:
        report = run(b"image", toml=plan("Fails", service.target, gate=gate.target), log=log)
    assert (report.outcome, report.code) == ("undecided", "plugin-error")
    assert any("does not answer" in text and "check that its service runs" in text for _, _, text in log), log


def test_a_plugin_that_is_ended_hangs_up(run, service, settled) -> None:
    report = run(b"image", toml=plan("Hangs", service.target, 'timeout = "1s"'))
    assert report.verdicts[0].outcome == "timeout"
    assert service.hung_up(2)


@pytest.mark.parametrize("paths", [[], ["svc"]], ids=["handed over", "with paths"])
def test_connections_end_with_an_engine_that_is_killed(tier, tmp_path, service, settled, paths) -> None:
    asked = threading.Event()

    def serve(connection: socket.socket) -> None:
        while connection.recv(10):
            asked.set()

    with Service(serve, unix=service.target.startswith("unix:")) as hanging:
        config = tmp_path / "plan.toml"
        config.write_text(plan("Hangs", hanging.target, f"socket_paths = {paths}"))
        image = tmp_path / "image"
        image.write_bytes(b"image")
        words = [sys.executable, "-m", "douane", "check", str(image), "--config", str(config), "--sandbox", str(tier)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as engine:
            assert asked.wait(60)
            engine.kill()
        assert hanging.hung_up(2)


def test_a_library_connects_at_a_path(run, service, settled) -> None:
    report = run(b"image", toml=plan("ByPath", service.target, 'socket_paths = ["svc"]'))
    assert report.outcome == "accepted", report
    assert report.properties == {
        "asks.answer": "HELLO",
        "asks.path": "/sockets/svc/socket",
        "asks.folder": "/sockets/svc",
    }


def test_no_descriptor_reaches_the_service_of_a_plugin_that_may_send_messages(run, nothing_left) -> None:
    received: list[int] = []

    def serve(connection: socket.socket) -> None:
        while True:
            data, fds, _, _ = socket.recv_fds(connection, 1 << 16, 8)
            received.extend(fds)
            if not data:
                return
            connection.sendall(data.upper())

    with Service(serve, unix=True) as service:
        report = run(b"image", toml=plan("SendsDescriptors", service.target, 'socket_paths = ["svc"]'))
        assert report.outcome == "accepted", report
        assert report.properties["asks.answers"] == "BYTES BYTES BYTES"
        assert service.hung_up(3)
    assert received == []


def test_without_the_key_there_is_no_path(run, service, settled) -> None:
    report = run(b"image", toml=plan("ByAPathThatIsNotThere", service.target))
    assert report.code == "plugin-error"
    assert 'socket_paths = ["svc"]' in (report.verdicts[0].detail or "")


@pytest.mark.parametrize(
    ("grants", "paths", "sentence"),
    [
        ("{}", '["svc"]', "there is no grant 'svc'"),
        ('{ svc = "file:/etc/hosts" }', '["svc"]', "for grants of the form unix:PATH or tcp:HOST:PORT"),
        ('{ "a/b" = "tcp:127.0.0.1:1" }', '["a/b"]', "is a part of a path"),
        ('{ ".." = "tcp:127.0.0.1:1" }', '[".."]', "is a part of a path"),
    ],
)
def test_paths_of_what_is_no_socket_are_a_wrong_configuration(run, grants, paths, sentence) -> None:
    toml = f'[[plugin]]\nname = "p"\nuse = "{PLUGINS}:ByPath"\ngrants = {grants}\nsocket_paths = {paths}\n'
    with pytest.raises(PlanError, match=sentence):
        run(b"x", toml=toml)


@pytest.mark.usefixtures("wire_c")
def test_a_program_in_another_language_makes_connections(run, service, settled) -> None:
    grants = f'grants = {{ svc = "{service.target}" }}'
    report = run(b"image", toml=wire_programs.plan(f"wire:{compiled('ask')}", grants, 'socket_paths = ["svc"]'))
    assert report.outcome == "accepted", report
    assert report.properties == {"wired.asked": "HELLO", "wired.at_path": "HELLO"}
    assert service.accepted == 3


@pytest.mark.parametrize("paths", [[], ["svc"]], ids=["handed over", "with paths"])
def test_further_connections_are_made_as_the_chosen_user(run, nothing_left, paths) -> None:
    clients: list[tuple[int, int]] = []

    def serve(connection: socket.socket) -> None:
        _, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        clients.append((uid, gid))
        shout(connection)

    name = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    account = pwd.getpwnam(name)
    lines = [f'connect_as = "{name}"', f"socket_paths = {paths}", 'config = { words = ["a", "b"] }']
    with Service(serve, unix=True) as service:
        report = run(b"image", toml=plan("Asks", service.target, *lines))
        assert report.properties["asks.answers"] == "A B", report
        service.settle()
    assert clients[:3] == [(account.pw_uid, account.pw_gid)] * 3
