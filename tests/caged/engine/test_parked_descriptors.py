"""A plugin cannot keep anything of a run open by sending its descriptors to a service."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import sandbox

PLUGINS = Path(__file__).parent / "plugins" / "parking.py"
MiB = 1 << 20


class Service:
    """A service that accepts every connection, and reads nothing before it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "service"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self._socket.listen()

    def receive(self) -> list[int]:
        """The descriptors that the first client has sent, which may include its own end: the run is over."""
        client, _ = self._socket.accept()
        received: list[int] = []
        with client, contextlib.suppress(BlockingIOError):
            client.setblocking(False)
            while True:
                data, fds, _, _ = socket.recv_fds(client, 1, 16)
                received += fds
                if not data:
                    break
        return received

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.close()


def name_of(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def plan(cls: str, service: Service, more: str = "") -> str:
    lines = f'[[plugin]]\nname = "parks"\nuse = "{PLUGINS}:{cls}"\ngrants = {{ peer = "unix:{service.path}" }}\n'
    return f'[import]\ndigests = []\ndeadline = "10m"\n{lines}{more}'


@pytest.mark.parametrize("programs", ["", 'programs = ["true"]'], ids=["alone", "with programs"])
@pytest.mark.parametrize("cls", ["ParksOutput", "ParksScratch"])
def test_no_descriptor_passes_through_a_grant(run, nothing_left, service, cls, programs) -> None:
    report = run(os.urandom(MiB), toml=plan(cls, service, f'scratch = "4MiB"\n{programs}'))
    assert report.outcome == "accepted", report
    assert service.receive() == []
    assert report.properties.get("parks.sent", 0) == 0


class TestWithoutASandbox:
    """Nothing keeps a plugin from sending then: what it has sent is worth nothing."""

    @pytest.fixture
    def tier(self) -> sandbox.Tier:
        return sandbox.Tier.OFF

    def test_the_answer_ends_the_output(self, run, nothing_left, service) -> None:
        data = os.urandom(3 * MiB + 5)
        report = run(data, toml=plan("ParksOutput", service))
        assert (report.outcome, report.stored.size) == ("accepted", len(data))
        received = service.receive()
        assert received
        for fd in received:
            os.close(fd)

    def test_scratch_files_are_emptied(self, run, nothing_left, service) -> None:
        report = run(b"image", toml=plan("ParksScratch", service, 'scratch = "4MiB"'))
        received = service.receive()
        assert report.properties.get("parks.sent") == len(received) >= 2, report
        files = [fd for fd in received if stat.S_ISREG(os.fstat(fd).st_mode) and "memfd:" not in name_of(fd)]
        assert [os.fstat(fd).st_size for fd in files if "(deleted)" in name_of(fd)] == [0, 0]
        for fd in received:
            os.close(fd)
