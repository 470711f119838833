"""Grants made of plain objects: files, and sockets that a function of the test serves."""

from __future__ import annotations

import io
import os
import socket

import pytest

from douane_plugin import Inspector
from douane_plugin._granted import GrantedFile
from douane_plugin.testing import Replies, WrongConfiguration, run


class Reads(Inspector):
    def __init__(self):
        self.rules = self.grant("rules").read()
        assert self.grant("rules") is self.grant("rules")

    def inspect(self, image):
        return {"rules": self.rules.decode()}


class Asks(Inspector):
    """Sends the setting `says`, and returns the reply."""

    def __init__(self, says: str = "PING"):
        self.says = says

    def inspect(self, image):
        peer = self.grant("daemon")
        assert isinstance(peer, socket.socket) and peer.gettimeout() is None
        peer.sendall(self.says.encode())
        return {"answer": peer.recv(100).decode()}


@pytest.mark.parametrize("kind", ["bytes", "str", "path", "file", "text file", "BytesIO"])
def test_a_file_grant_is_given_as_content_path_or_open_file(kind, tmp_path):
    path = tmp_path / "rules"
    path.write_text("deny all")
    with path.open("rb") as file, path.open() as text:
        file.read(3)
        granted = {
            "bytes": b"deny all",
            "str": "deny all",
            "path": path,
            "file": file,
            "text file": text,
            "BytesIO": io.BytesIO(b"deny all"),
        }[kind]
        for _ in range(2):
            assert run(Reads, grants={"rules": granted}).properties == {"rules": "deny all"}
        assert file.tell() == 3


class Opens(Inspector):
    """Opens its grants again, by their paths."""

    def inspect(self, image):
        file, folder = self.grant("rules"), self.grant("lists")
        assert isinstance(file.name, str) and file.name == file.path
        with open(file.path, "rb") as again:
            assert again.read() == file.read()
        with open(os.path.join(folder, "deep", "list")) as listed:
            return {"listed": listed.read(), "same": os.fspath(folder) == folder.path, "names": len(os.listdir(folder))}


@pytest.mark.parametrize("kind", ["bytes", "str", "path", "BytesIO"])
def test_granted_files_and_folders_have_a_path(kind, tmp_path):
    path = tmp_path / "rules"
    path.write_text("deny all")
    (tmp_path / "lists" / "deep").mkdir(parents=True)
    (tmp_path / "lists" / "deep" / "list").write_text("some names")
    rules = {"bytes": b"deny all", "str": "deny all", "path": path, "BytesIO": io.BytesIO(b"deny all")}[kind]
    result = run(Opens, grants={"lists": tmp_path / "lists", "rules": rules})
    assert result.properties == {"listed": "some names", "same": True, "names": 1}


def test_a_plugin_without_its_folder_gets_the_names_of_all_grants(tmp_path):
    with pytest.raises(LookupError, match="grants rules to this plugin, not 'lists'"):
        run(Opens, grants={"rules": tmp_path})


def test_a_file_without_a_path_says_so(tmp_path):
    """As an engine from before grants had paths hands it over."""
    path = tmp_path / "rules"
    path.write_text("deny all")
    with GrantedFile(os.open(path, os.O_RDONLY), "rules", None) as file:
        assert (file.name, file.read()) == ("rules", b"deny all")
        with pytest.raises(LookupError, match="'rules' has no path here"):
            file.path  # noqa: B018  # raises


def test_a_granted_file_is_read_only():
    class Writes(Inspector):
        def inspect(self, image):
            self.grant("rules").write(b"x")

    with pytest.raises(io.UnsupportedOperation):
        run(Writes, grants={"rules": "x"})


def test_a_missing_grant_is_reported_with_all_grants():
    with pytest.raises(LookupError, match="grants other to this plugin, not 'rules'"):
        run(Reads, grants={"other": b""})


def test_a_missing_path_is_a_wrong_configuration(tmp_path):
    with pytest.raises(WrongConfiguration, match="cannot be opened"):
        run(Reads, grants={"rules": tmp_path / "nowhere"})


@pytest.mark.parametrize("value", [7, None, ["a"]])
def test_other_objects_cannot_be_granted(value):
    with pytest.raises(TypeError, match="grant 'rules'"):
        run(Reads, grants={"rules": value})


def test_a_function_serves_a_socket():
    def daemon(connection):
        connection.sendall(connection.recv(4).lower())

    assert run(Asks, grants={"daemon": daemon}).properties == {"answer": "ping"}


def test_an_object_serves_a_socket():
    class Daemon:
        heard = b""

        def serve(self, connection):
            self.heard = connection.recv(4)
            connection.sendall(b"ok")

    daemon = Daemon()
    assert run(Asks, grants={"daemon": daemon}).properties == {"answer": "ok"}
    assert daemon.heard == b"PING"


def test_replies_follow_a_script():
    replies = Replies((b"PI", b""), (b"NG", b"PONG"))
    assert run(Asks, grants={"daemon": replies}).properties == {"answer": "PONG"}
    assert replies.received == b"PING"
    assert run(Asks, grants={"daemon": replies}).properties == {"answer": "PONG"}


@pytest.mark.parametrize(
    ("script", "text"),
    [((b"STAT", b"x"), "expected b'STAT', not b'PING'"), ((b"PINGPONG", b"x"), "hung up after b'PING'")],
)
def test_a_request_that_is_not_in_the_script_fails_the_test(script, text):
    class Hasty(Asks):
        def inspect(self, image):
            self.grant("daemon").sendall(b"PING")

    with pytest.raises(AssertionError, match=text):
        run(Hasty, grants={"daemon": Replies(script)})


def test_an_exception_of_a_server_is_raised_whatever_the_plugin_does():
    def daemon(connection):
        raise KeyError("of the test")

    with pytest.raises(KeyError, match="of the test"):
        run(Asks, grants={"daemon": daemon}, raise_on_failure=False)


def test_a_plugin_may_hang_up_while_the_server_sends():
    def daemon(connection):
        while True:
            connection.sendall(b"x" * (1 << 16))

    assert run(Asks, grants={"daemon": daemon}).outcome == "accepted"


def test_a_server_sees_the_end_of_the_plugin():
    heard = []

    def daemon(connection):
        connection.sendall(b"go on")
        heard.extend(iter(lambda: connection.recv(4), b""))
        heard.append(b"end")

    run(Asks, grants={"daemon": daemon})
    assert heard == [b"PING", b"end"]


def test_a_socket_that_the_plugin_never_uses_is_closed():
    heard = []
    run(Reads, grants={"rules": "x", "daemon": lambda connection: heard.append(connection.recv(1))})
    assert heard == [b""]
