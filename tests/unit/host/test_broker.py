"""The broker, asked by this process in the place of a plugin."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from douane.host import connection_budget
from douane.host.broker import Broker
from douane.host.connection_budget import OPEN_AT_ONCE
from douane_plugin._granted_socket import GrantedSocket, open_granted_socket
from support.services import Service


class Asker:
    """The plugin's end of a broker with the grants `svc` and `other`."""

    def __init__(self, relayed: bool = False, **targets: Service | str) -> None:
        self.targets = targets
        self.release = threading.Event()
        connects = {name: lambda name=name: self._connect(name) for name in targets}
        self.broker = Broker("test", connects, {}, targets if relayed else ())
        self.grants = {name: self._grant(name) for name in targets}
        self.broker.close_handed()

    def _grant(self, name: str) -> GrantedSocket:
        first, _ = socket.socketpair()
        spec = {"fd": first.detach(), "connect_fd": os.dup(self.broker.controls[name])}
        return open_granted_socket(name, spec)

    def _connect(self, name: str) -> socket.socket:
        target = self.targets[name]
        if not isinstance(target, Service):
            self.release.wait()
            raise TimeoutError(errno.ETIMEDOUT, target)
        kind, _, address = target.target.partition(":")
        if kind == "unix":
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(address)
            return peer
        return socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))

    def control(self, name: str = "svc") -> socket.socket:
        fd = self.grants[name]._control
        assert fd is not None
        return socket.socket(fileno=os.dup(fd))

    def close(self) -> None:
        self.release.set()
        self.broker.close()
        for grant in self.grants.values():
            assert grant._control is not None
            os.close(grant._control)
            grant.close()


@contextlib.contextmanager
def asker(relayed: bool = False, **targets: Service | str) -> Iterator[Asker]:
    made = Asker(relayed, **targets)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=[False, True], ids=["tcp", "unix"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(unix=request.param) as service:
        yield service


def wait_until(is_true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if is_true():
            return
        time.sleep(0.01)
    raise AssertionError("it does not happen")


def talk(connection: socket.socket, text: bytes) -> bytes:
    connection.settimeout(60)
    connection.sendall(text)
    return connection.recv(100)


def test_each_request_gets_a_connection_of_its_own(service: Service) -> None:
    with asker(svc=service) as plugin:
        for number in range(3):
            with plugin.grants["svc"].connect() as connection:
                assert connection.getblocking()
                assert talk(connection, b"number %d" % number) == b"NUMBER %d" % number
        assert service.hung_up(3)
    assert service.accepted == 3


def test_threads_may_ask_at_the_same_time(service: Service) -> None:
    answers: list[bytes] = []

    def ask(number: int) -> None:
        with plugin.grants["svc"].connect() as connection:
            answers.append(talk(connection, b"%d" % number))

    with asker(svc=service) as plugin:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers, key=int) == [b"%d" % number for number in range(20)]


@pytest.mark.parametrize("relayed", [False, True], ids=["handed over", "relayed"])
def test_connections_that_are_closed_make_room(service: Service, relayed: bool) -> None:
    with asker(relayed, svc=service) as plugin:
        for turn in range(2):
            if relayed:
                assert service.hung_up(turn * OPEN_AT_ONCE)
                wait_until(lambda: plugin.broker._open_now() == 0)
            connections = [plugin.grants["svc"].connect() for _ in range(OPEN_AT_ONCE)]
            with pytest.raises(ConnectionRefusedError, match="close some"):
                plugin.grants["svc"].connect()
            for connection in connections:
                connection.close()
        wait_until(lambda: plugin.broker._open_now() == 0)
        with plugin.grants["svc"].connect() as connection:
            assert talk(connection, b"x") == b"X"


def test_a_relayed_connection_counts_until_the_service_has_taken_its_last_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_budget, "OPEN_AT_ONCE", 3)
    release = threading.Event()
    with Service(lambda _: bool(release.wait()), unix=True) as service, asker(True, svc=service) as plugin:
        for _ in range(3):
            with plugin.grants["svc"].connect() as connection:
                connection.settimeout(1)  # until nobody takes more: the relay, and the service's socket are full
                with contextlib.suppress(TimeoutError):
                    while True:
                        connection.send(bytes(1 << 16))
        with pytest.raises(ConnectionRefusedError, match="close some"):
            plugin.grants["svc"].connect()
        release.set()


def test_a_copy_of_a_connection_counts_until_it_is_closed(service: Service) -> None:
    with asker(svc=service) as plugin:
        copies = []
        for _ in range(OPEN_AT_ONCE):
            with plugin.grants["svc"].connect() as connection:
                copies.append(connection.dup())
        with pytest.raises(ConnectionRefusedError, match="close some"):
            plugin.grants["svc"].connect()
        copies.pop().close()
        plugin.grants["svc"].connect().close()
        for copy in copies:
            copy.close()


def test_a_target_that_hangs_holds_up_no_other(service: Service) -> None:
    with asker(svc=service, other="it hangs") as plugin:
        failures: list[OSError] = []

        def ask() -> None:
            try:
                plugin.grants["other"].connect()
            except OSError as error:
                failures.append(error)

        os.write(plugin.grants["other"]._control or -1, b"\0")  # the request is on its way before the next
        with plugin.grants["svc"].connect() as connection:
            assert talk(connection, b"x") == b"X"
        plugin.release.set()
        ask()
    assert isinstance(failures[0], TimeoutError)


def test_a_target_that_is_down_is_an_error_with_its_reason() -> None:
    service = Service()
    with asker(svc=service) as plugin:
        service.stop()
        with pytest.raises(ConnectionRefusedError):
            plugin.grants["svc"].connect()


def test_the_content_of_a_request_has_no_meaning(service: Service) -> None:
    with asker(svc=service, other="it hangs") as plugin, plugin.control() as control:
        for request in (b"other", b"tcp:127.0.0.1:1", b"\0" * 5000, b"\xff"):
            control.send(request)
            answer, fds, _, _ = socket.recv_fds(control, 1000, 4)
            assert (answer, len(fds)) == (bytes(4), 1)
            with socket.socket(fileno=fds[0]) as connection:
                assert talk(connection, b"x") == b"X"


def test_a_flood_of_requests_is_bounded_by_the_kernel(service: Service) -> None:
    with asker(svc=service) as plugin, plugin.control() as control:
        control.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 100_000:
                control.send(b"\0")
                sent += 1
        assert sent < 100_000
        control.setblocking(True)
        answers = [socket.recv_fds(control, 1000, 4) for _ in range(OPEN_AT_ONCE + 5)]
        fds = [fd for _, received, _, _ in answers for fd in received]
        assert len(fds) == OPEN_AT_ONCE
        for fd in fds:
            os.close(fd)


def test_descriptors_that_come_with_a_request_are_closed(service: Service) -> None:
    with asker(svc=service) as plugin, plugin.control() as control:
        read_end, write_end = os.pipe()
        sent = False
        with contextlib.suppress(PermissionError):  # Linux 6.16 refuses them
            socket.send_fds(control, [b"\0"], [write_end])
            sent = True
        if sent:
            _, fds, _, _ = socket.recv_fds(control, 1000, 4)
            os.close(fds[0])
        os.close(write_end)
        assert os.read(read_end, 1) == b""  # no other end is left
        os.close(read_end)


def test_the_end_of_the_broker_is_an_error_and_leaves_nothing(service: Service) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with asker(svc=service, other="it hangs") as plugin:
        os.write(plugin.grants["other"]._control or -1, b"\0")
        connection = plugin.grants["svc"].connect()
        plugin.broker.close()
        with pytest.raises(OSError, match=r"no more connections|Broken pipe"):
            plugin.grants["svc"].connect()
        assert talk(connection, b"x") == b"X"  # it is the plugin's own
        connection.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the service's end


def test_a_connection_that_comes_too_late_is_closed() -> None:
    ours, theirs = socket.socketpair()
    release, begun = threading.Event(), threading.Event()

    def connect() -> socket.socket:
        begun.set()
        release.wait()
        return theirs

    broker = Broker("test", {"svc": connect}, {})
    os.write(broker.controls["svc"], b"\0")
    assert begun.wait(60)
    broker.close()
    release.set()
    ours.settimeout(60)
    assert ours.recv(1) == b""
    ours.close()
