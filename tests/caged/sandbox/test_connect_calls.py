"""Libraries in a sandbox connect to the paths of granted sockets, and to nothing else."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from douane import sandbox
from douane.host.broker import Broker
from support.sandbox.process import Cell
from support.services import Service

PATH = "/sockets/svc/socket"
EPERM, EBADF, EACCES, ENOSYS = 1, 9, 13, 38
REFUSED = (EPERM, ENOSYS)


def connect_to(service: Service) -> socket.socket:
    kind, _, address = service.target.partition(":")
    peer = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_STREAM)
    peer.connect(address if kind == "unix" else ("127.0.0.1", int(address.rpartition(":")[2])))
    return peer


@contextlib.contextmanager
def cell(tier: sandbox.Tier, service: Service, *, keep: tuple[int, ...] = (), forks: bool = False) -> Iterator[Cell]:
    """A sandbox whose libraries can connect to `service` in the folder /sockets/svc."""
    broker = Broker("cell", {"svc": lambda: connect_to(service)}, {"svc": "/sockets/svc"})
    try:
        with Cell(tier, keep=keep, forks=forks, calls=broker.calls) as made:
            broker.close_handed()
            yield made
    finally:
        broker.close()


@pytest.fixture(params=[False, True], ids=["tcp", "unix"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(unix=request.param) as service:
        yield service


@pytest.fixture
def stranger() -> Iterator[Service]:
    """A service of the host on a Unix socket that every user may open."""
    with Service(unix=True) as service:
        yield service


def test_each_name_in_the_folder_leads_to_the_service(tier: sandbox.Tier, service: Service) -> None:
    with cell(tier, service) as inside:
        assert inside.returned("shout_at", PATH, "hello") == "HELLO"
        assert inside.returned("shout_at", "/sockets/svc/.s.PGSQL.5432", "again") == "AGAIN"
        assert inside.returned("keeps_flags", PATH) == [True, True]
    assert service.hung_up(4)
    assert service.accepted == 4


def test_no_other_path_is_reached(tier: sandbox.Tier, service: Service, stranger: Service) -> None:
    path = stranger.target.removeprefix("unix:")
    with cell(tier, service) as inside:
        for text in (
            path,
            f"/sockets/svc/../../{path}",
            "/sockets/svc",
            "/sockets/svc/more/socket",
            "/sockets/other/socket",
            "sockets/svc/socket",
            "//sockets/svc/socket",
            "/proc/self/root" + path,
            "@" + path,
            "",
            "/" * 108,
        ):
            assert inside.refused("connect_path", text) in REFUSED, text
    assert (service.accepted, stranger.accepted) == (0, 0)


def test_an_abstract_socket_is_not_reached(tier: sandbox.Tier, service: Service) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0douane-test-" + os.urandom(8).hex())
        listener.listen()
        listener.setblocking(False)
        with cell(tier, service) as inside:
            assert inside.refused("connect_path", "@" + os.fsdecode(listener.getsockname()[1:])) in REFUSED
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_an_address_that_changes_reaches_nothing_else(tier: sandbox.Tier, service: Service, stranger: Service) -> None:
    with cell(tier, service) as inside:
        worked = inside.returned("connect_racing", PATH, stranger.target.removeprefix("unix:"), 300)
    assert service.hung_up(worked)
    assert stranger.accepted == 0


def test_no_other_kind_of_socket_can_be_made(tier: sandbox.Tier, service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, cell(tier, service) as inside:
        assert inside.returned("socket_families") == [[1, 1]]
        assert inside.refused("connect", server.getsockname()[1]) in REFUSED
        assert inside.refused("listen_at", "/tmp/from-the-cage") in REFUSED
        assert inside.refused("send_unconnected", PATH) in REFUSED
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_granted_socket_keeps_its_peer(tier: sandbox.Tier, service: Service, stranger: Service) -> None:
    with connect_to(service) as granted, cell(tier, service, keep=(granted.fileno(),)) as inside:
        assert inside.refused("connect_path", stranger.target.removeprefix("unix:"), granted.fileno()) in REFUSED
        assert inside.returned("talk", granted.fileno(), "ping") == "PING"
    assert stranger.accepted == 0


def test_calls_that_cannot_be_read_are_refused(tier: sandbox.Tier, service: Service) -> None:
    with cell(tier, service) as inside:
        assert inside.refused("connect_memory", 0, 110) == EACCES
        assert inside.refused("connect_memory", 1 << 46, 110) == EACCES
        assert inside.refused("connect_memory", 1 << 20, 0) in (EPERM, EACCES)
        assert inside.refused("connect_path", PATH, 1) == EBADF  # a pipe
        assert inside.refused("connect_path", PATH, 999) == EBADF
        assert inside.refused("connect_path", PATH, -1) == EBADF
    assert service.accepted == 0


def test_the_sandbox_holds_no_handle_on_its_calls(tier: sandbox.Tier, service: Service) -> None:
    from douane.sandbox.seccomp import numbers

    with cell(tier, service) as inside:
        assert inside.refused("syscall", numbers()["seccomp"], 1, 8, 0) in REFUSED
        assert not [each for each in inside.returned("descriptors") if "seccomp" in str(each)]


def test_no_descriptor_is_sent_to_a_service(tier: sandbox.Tier, service: Service) -> None:
    with cell(tier, service) as inside:
        assert inside.refused("send_descriptor", PATH) in REFUSED


def test_nothing_can_be_connected_when_the_broker_has_ended(tier: sandbox.Tier, service: Service) -> None:
    broker = Broker("cell", {"svc": lambda: connect_to(service)}, {"svc": "/sockets/svc"})
    with Cell(tier, calls=broker.calls) as inside:
        broker.close_handed()
        assert inside.returned("shout_at", PATH, "hello") == "HELLO"
        broker.close()
        assert inside.refused("shout_at", PATH, "hello") == ENOSYS


def test_a_sandbox_is_not_used_if_nobody_decides_about_its_calls(tier: sandbox.Tier) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def drop() -> None:
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        os.close(fds[0])

    thread = threading.Thread(target=drop)
    thread.start()
    with ours, theirs, pytest.raises(sandbox.SandboxError, match="does not decide about connect"):
        Cell(tier, calls=theirs.fileno())
    thread.join()


def test_without_the_right_to_read_calls_nothing_starts(monkeypatch: pytest.MonkeyPatch, tier: sandbox.Tier) -> None:
    monkeypatch.setattr("douane.sandbox.spawn.can_read_calls", lambda: False)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(sandbox.SandboxError, match="CAP_SYS_PTRACE"):
        Cell(tier, calls=theirs.fileno())


def test_a_process_that_is_killed_while_it_connects_leaves_nothing(tier: sandbox.Tier) -> None:
    asked, release = threading.Event(), threading.Event()
    near, far = socket.socketpair()

    def hang() -> socket.socket:
        asked.set()
        release.wait()
        return far

    broker = Broker("cell", {"svc": hang}, {"svc": "/sockets/svc"})
    try:
        with Cell(tier, calls=broker.calls) as inside:
            broker.close_handed()
            inside.order("shout_at", PATH, "hello")
            assert asked.wait(60)
        release.set()
        near.settimeout(60)
        assert near.recv(1) == b""  # nobody holds the connection
    finally:
        broker.close()
        near.close()
