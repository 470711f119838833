"""A sandbox made by an ordinary user. A test runs this module as that user."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

from douane import sandbox
from douane.host.broker import Broker
from douane.sandbox import private_folder
from support.sandbox.process import Cell, ring, wait_until_nobody_holds
from support.services import Service

REFUSED = (1, 2, 3, 13, 38)


def check(tier: sandbox.Tier) -> None:
    """Attack the sandbox from inside; AssertionError names an attack that succeeds."""
    fd = ring(b"bytes")
    shared = ["/tmp", "/dev/shm"] if tier is sandbox.Tier.STRICT else ["/var/tmp"]
    with socket.create_server(("127.0.0.1", 0)) as server, Cell(tier, keep=(fd,)) as cell:
        assert cell.refused("read", "/etc/shadow") in REFUSED
        assert cell.refused("read", f"/proc/{os.getpid()}/environ") in REFUSED
        assert cell.refused("connect", server.getsockname()[1]) in REFUSED
        assert cell.refused("kill", os.getpid(), signal.SIGKILL) in REFUSED
        assert cell.refused("kill", os.getppid(), 0) in REFUSED
        assert cell.refused("fork") in REFUSED
        assert cell.returned("proc_files", str(os.getpid())) == []
        assert cell.returned("write_everywhere", [str(Path.cwd()), *shared]) == []
        assert [each for each in cell.returned("ring_attacks", fd, 1 << 16) if each != "lock"] == []
        assert cell.returned("socket_families") == []
        assert cell.returned("mapped", fd, 5) == "bytes"
        assert cell.returned("start_threads", 8) == 8
        assert cell.ask("allocate", 1 << 30)["raised"] == "MemoryError"
        assert cell.report.layers["identity"]["own_user"] is False
    check_calls(tier)


def check_calls(tier: sandbox.Tier) -> None:
    """The engine can read where a library connects to, and that is all that a library can connect to."""
    with Service() as service, Service(unix=True) as stranger:
        port = int(service.target.rpartition(":")[2])
        broker = Broker("cell", {"svc": lambda: socket.create_connection(("127.0.0.1", port))}, {"svc": "/sockets/svc"})
        try:
            with Cell(tier, calls=broker.calls) as cell:
                assert cell.returned("shout_at", "/sockets/svc/socket", "hello") == "HELLO"
                assert cell.refused("connect_path", stranger.target.removeprefix("unix:")) in REFUSED
                assert cell.refused("read", f"/proc/{os.getpid()}/mem") in REFUSED
        finally:
            broker.close()
        assert (service.accepted, stranger.accepted) == (1, 0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "own")
        file.write_text("pass")
        with Cell(tier, read=(Path(folder),)) as cell:  # its user owns these, and still cannot change them
            assert cell.returned("change", str(file)) == []
            assert cell.returned("write_everywhere", [folder]) == []
    check_folder(tier)
    with Cell(tier, programs=(Path("/bin/sh"),)) as cell:
        assert cell.refused("kill", cell.process.pid, signal.SIGKILL) in REFUSED
        assert cell.returned("stray", "setsid") == "left"
        cell.process.kill()
        wait_until_nobody_holds(cell.output)


def check_folder(tier: sandbox.Tier) -> None:
    """What a plugin leaves in its private folder is removed, also what its own user may not enter."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["TMPDIR"] = place
        private_folder.forget()
        with Cell(tier, bounds=sandbox.Bounds(file_bytes=1 << 20, temporary_bytes=1 << 20)) as cell:
            assert cell.returned("leave_hostile_tree", 1500) == 1500
            usage = cell.process.temporary()
            assert usage is not None
            assert usage.files > 4096
        assert os.listdir(place) == []
        del os.environ["TMPDIR"]
        private_folder.forget()


if __name__ == "__main__":
    check(sandbox.Tier(sys.argv[1]))
    print("closed")
