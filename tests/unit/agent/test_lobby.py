"""Clients that have sent no whole line, whatever else they send."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.agent.lobby import MAX_SILENT, Lobby
from douane.errors import AgentError
from douane.stream.connection import Connection
from support.waiting import until


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


PIECES = st.lists(st.tuples(st.binary(min_size=1, max_size=40) | st.just(b"{}\n"), st.integers(0, 4)), max_size=6)


@settings(deadline=None)
@given(pieces=PIECES, hangs_up=st.booleans())
def test_nothing_that_a_client_sends_stays_open(pieces: list[tuple[bytes, int]], hangs_up: bool) -> None:
    before = open_descriptors()
    lobby = Lobby()
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    number = server.fileno()
    lobby.enter(server)
    connection: Connection | None = None
    with client, tempfile.TemporaryFile() as file, contextlib.suppress(OSError):
        for data, count in pieces:
            socket.send_fds(client, [data], [file.fileno()] * count)
            if number in lobby.descriptors():
                connection = lobby.receive(number)
        if hangs_up:
            client.shutdown(socket.SHUT_WR)
    if connection is not None:
        with contextlib.suppress(AgentError), contextlib.closing(connection):
            _, fds = connection.receive_fields()
            for fd in fds:
                os.close(fd)
    lobby.close()
    until("all is closed", lambda: open_descriptors() <= before)


def test_the_client_that_has_been_silent_for_longest_makes_room() -> None:
    lobby = Lobby()
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(MAX_SILENT + 1)]
    for _, server in pairs:
        lobby.enter(server)
    assert pairs[0][0].recv(1) == b""
    with pytest.raises(BlockingIOError):
        pairs[1][0].recv(1, socket.MSG_DONTWAIT)
    assert len(lobby.descriptors()) == MAX_SILENT
    lobby.close()
    for client, _ in pairs:
        client.close()


def test_a_line_in_pieces_is_a_line() -> None:
    lobby = Lobby()
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    lobby.enter(server)
    with client:
        for piece in (b'{"do"', b': "plan', b'"}'):
            client.sendall(piece)
            assert lobby.receive(server.fileno()) is None
        client.sendall(b"\n")
        connection = lobby.receive(server.fileno())
        assert connection is not None
        assert connection.receive_fields() == ({"do": "plan"}, [])
        connection.close()
    assert lobby.descriptors() == []
