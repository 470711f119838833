"""Further connections to the sockets that a test grants."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from douane_plugin import Inspector
from douane_plugin.testing import Address, Replies, WrongConfiguration, run


class Asks(Inspector):
    """Sends each word over a connection of its own."""

    reads = "nothing"

    def __init__(self, words: list):
        self.words = words

    def inspect(self, image):
        answers = []
        for word in self.words:
            with self.grant("svc").connect() as connection:
                assert isinstance(connection, socket.socket) and connection.gettimeout() is None
                connection.sendall(word.encode())
                answers.append(connection.recv(100).decode())
        return {"answers": " ".join(answers)}


class AsksAtAPath(Inspector):
    """Connects to the names that libraries choose."""

    reads = "nothing"

    def inspect(self, image):
        grant = self.grant("svc")
        answers = []
        for path in (grant.socket_path, os.path.join(grant.socket_folder, ".s.PGSQL.5432")):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                connection.sendall(b"hello")
                answers.append(connection.recv(100).decode())
        return {"answers": " ".join(answers)}


def shout(connection):
    while True:
        data = connection.recv(100)
        if not data:
            return
        connection.sendall(data.upper())


def test_each_connection_is_served_anew():
    result = run(Asks, config={"words": ["a", "b", "c"]}, grants={"svc": shout})
    assert result.properties == {"answers": "A B C"}


def test_each_connection_follows_the_script():
    replies = Replies((b"PING", b"PONG"))
    result = run(Asks, config={"words": ["PING", "PING"]}, grants={"svc": replies})
    assert result.properties == {"answers": "PONG PONG"}
    assert replies.received == b"PING"


def test_a_connection_that_leaves_the_script_fails_the_test():
    with pytest.raises(AssertionError, match="expected b'PING', not b'STAT'"):
        run(Asks, config={"words": ["PING", "STAT"]}, grants={"svc": Replies((b"PING", b"PONG"))})


def test_several_connections_are_open_at_the_same_time():
    class Holds(Inspector):
        reads = "nothing"

        def inspect(self, image):
            connections = [self.grant("svc")] + [self.grant("svc").connect() for _ in range(5)]
            for connection in reversed(connections):
                connection.sendall(b"x")
                assert connection.recv(1) == b"X"
            return {"open": len(connections)}  # the plugin does not close them

    assert run(Holds, grants={"svc": shout}).properties == {"open": 6}


def test_a_path_leads_to_the_server():
    result = run(AsksAtAPath, grants={"svc": shout}, plan={"socket_paths": ["svc"]})
    assert result.properties == {"answers": "HELLO HELLO"}


def test_without_the_key_of_the_plan_there_is_no_path():
    with pytest.raises(LookupError, match=r'socket_paths = \["svc"\]'):
        run(AsksAtAPath, grants={"svc": shout})


def test_a_path_of_an_unknown_grant_is_a_wrong_configuration():
    with pytest.raises(WrongConfiguration, match="no grant 'other'"):
        run(AsksAtAPath, grants={"svc": shout}, plan={"socket_paths": ["other"]})


@pytest.fixture(params=["tcp", "unix"])
def address(request, tmp_path_factory):
    if request.param == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        target = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
    else:
        path = f"/tmp/douane-address-{os.getpid()}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(16)
        target = "unix:" + path

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=shout, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Address(target)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    if target.startswith("unix:"):
        os.unlink(target[5:])


def test_a_real_service_can_be_granted(address):
    grants = {"svc": address}
    assert run(Asks, config={"words": ["a", "b"]}, grants=grants).properties == {"answers": "A B"}
    result = run(AsksAtAPath, grants=grants, plan={"socket_paths": ["svc"]})
    assert result.properties == {"answers": "HELLO HELLO"}


def test_a_service_that_is_down_is_a_wrong_configuration(tmp_path):
    with pytest.raises(WrongConfiguration, match="does not answer"):
        run(Asks, config={"words": []}, grants={"svc": Address(f"unix:{tmp_path}/gone")})


@pytest.mark.parametrize("target", ["tcp:localhost", "localhost:80", "unix:", "file:/etc/hosts", "tcp::80"])
def test_an_address_is_written_as_in_the_plan(target):
    with pytest.raises(ValueError, match="unix:PATH or tcp:HOST:PORT"):
        Address(target)
