"""Bytes, and nothing else, get from one side of a relay to the other."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from douane.host.connection_relay import BUFFER_BYTES, ConnectionRelay


@contextlib.contextmanager
def relayed() -> Iterator[tuple[ConnectionRelay, socket.socket, socket.socket]]:
    """A relay, and the two sockets of its users."""
    relay = ConnectionRelay("test")
    (plugin, near), (service, far) = socket.socketpair(), socket.socketpair()
    for each in (plugin, service):
        each.settimeout(60)
    relay.add(near, far)
    try:
        with plugin, service:
            yield relay, plugin, service
    finally:
        relay.close()


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=200_000), max_size=8), st.binary(max_size=300_000))
def test_all_bytes_arrive_in_order_and_the_answer_comes_after_the_end(messages: list[bytes], answer: bytes) -> None:
    with relayed() as (_, plugin, service):
        received: list[bytes] = []

        def serve() -> None:
            received.append(read_all(service))
            service.sendall(answer)
            service.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        for message in messages:
            plugin.sendall(message)
        plugin.shutdown(socket.SHUT_WR)
        assert read_all(plugin) == answer
        thread.join()
        assert received == [b"".join(messages)]


def test_a_side_that_takes_nothing_stops_the_other() -> None:
    with relayed() as (_, plugin, service):
        plugin.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 << 20:
                sent += plugin.send(bytes(1 << 16))
                os.sched_yield()
        assert sent < 64 << 20
        plugin.settimeout(60)
        plugin.shutdown(socket.SHUT_WR)
        assert len(read_all(service)) == sent


@pytest.mark.parametrize("leaver", [0, 1], ids=["plugin", "service"])
def test_the_last_bytes_of_a_side_that_hangs_up_arrive_and_then_its_end(leaver: int) -> None:
    with relayed() as (_, *ends):
        ends[leaver].sendall(bytes(3 * BUFFER_BYTES))
        ends[leaver].close()
        assert len(read_all(ends[1 - leaver])) == 3 * BUFFER_BYTES


def test_a_plugin_that_hangs_up_ends_a_connection_whose_service_says_nothing() -> None:
    with relayed() as (relay, plugin, service):
        plugin.close()
        assert service.recv(1) == b""
        with pytest.raises(OSError):  # not half closed: the relay has hung up
            while True:
                service.sendall(bytes(1 << 16))
        assert relay._ends == {}


def test_the_end_of_the_relay_ends_its_connections() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with relayed() as (relay, plugin, service):
        plugin.sendall(b"x")
        assert service.recv(1) == b"x"
        relay.close()
        assert plugin.recv(1) == service.recv(1) == b""
        late, later = socket.socketpair()
        relay.add(late, later)
        assert late.fileno() == -1
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_descriptor_passes() -> None:
    with relayed() as (_, plugin, service):
        read_end, write_end = os.pipe()
        socket.send_fds(plugin, [b"x"], [write_end])
        os.close(write_end)
        data, fds, _, _ = socket.recv_fds(service, 10, 10)
        assert (data, fds) == (b"x", [])
        assert os.read(read_end, 1) == b""  # nobody holds the other end
        os.close(read_end)
