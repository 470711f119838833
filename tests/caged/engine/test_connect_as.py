"""The service behind a granted Unix socket sees the user whom the operator has chosen."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.errors import PlanError

GOOD = Path(__file__).parent / "plugins" / "good.py"


class Service:
    """Answers one client with PONG, and notes the user and the group whom the kernel names."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/service"
        self.client: tuple[int, int] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        try:
            client, _ = self._socket.accept()
        except OSError:  # nobody has come
            return
        with client:
            _, uid, gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            self.client = uid, gid
            client.recv(16)
            client.sendall(b"PONG\n")

    def wait(self) -> tuple[int, int] | None:
        self._thread.join(60)
        return self.client


@pytest.fixture
def service() -> Iterator[Service]:
    """In a folder that every user may enter; pytest's are its own user's. Made before `nothing_left` names another."""
    folder = tempfile.mkdtemp(prefix="douane-service-", dir="/tmp")
    os.chmod(folder, 0o755)
    service = Service(folder)
    yield service
    service.close()
    shutil.rmtree(folder)


def plan(service: Service, user: str) -> str:
    return (
        f'[[plugin]]\nname = "granted"\nuse = "{GOOD}:Granted"\nconnect_as = "{user}"\n'
        f'grants = {{ rules = "file:{GOOD}", daemon = "unix:{service.path}" }}\n'
    )


def test_the_service_sees_the_chosen_user(service, run, nothing_left) -> None:
    name = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    report = run(b"image", toml=plan(service, name))
    assert report.outcome == "accepted", report
    account = pwd.getpwnam(name)
    assert service.wait() == (account.pw_uid, account.pw_gid)
    assert report.properties["granted.daemon"] == "PONG"


def test_a_user_who_may_not_connect_is_a_failure(service, run, nothing_left) -> None:
    if os.geteuid() == 0:
        os.chmod(service.path, 0o600)
        report = run(b"image", toml=plan(service, "nobody"))
        assert (report.outcome, report.code) == ("undecided", "grant-unavailable")
        assert "Permission denied" in (report.verdicts[0].detail or "")
    else:
        with pytest.raises(PlanError, match="only root connects as another user"):
            run(b"image", toml=plan(service, "root"))


def test_an_unknown_user_is_a_configuration_error(service, run, nothing_left) -> None:
    with pytest.raises(PlanError, match="no user 'no-such-user'"):
        run(b"image", toml=plan(service, "no-such-user"))
