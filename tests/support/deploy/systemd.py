"""A real systemd as process 1 of new namespaces, with the units of deploy/systemd: see boot.sh."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from support.doc_pages import TOP
from support.processes import SECONDS
from support.waiting import until

UNITS = TOP / "deploy" / "systemd"
_BOOT = Path(__file__).with_name("boot.sh")


class Machine:
    """A booted systemd. It shares the network with the tests, and neither files nor processes."""

    def __init__(self, init: int) -> None:
        self.init = init

    def attempt(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command there, as root, whatever it ends with."""
        entry = ["nsenter", f"--target={self.init}", "--mount", "--pid", "--ipc", "--uts", "--cgroup"]
        return subprocess.run(
            [*entry, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", *words],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def run(self, *words: str, text: str | None = None) -> str:
        """What a command that succeeds prints."""
        ended = self.attempt(*words, text=text)
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def write(self, path: str, text: str, mode: str = "644") -> None:
        """Write a file there."""
        self.run("mkdir", "-p", os.path.dirname(path))
        self.run("install", f"--mode={mode}", "/dev/stdin", path, text=text)

    def log(self, unit: str) -> str:
        """What the unit has said since it was started the last time."""
        number = self.show(unit, "InvocationID")
        return self.run("journalctl", "--output=cat", f"_SYSTEMD_INVOCATION_ID={number}")

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()


@contextmanager
def booted() -> Iterator[Machine]:
    """A machine that has started its basic units."""
    assert os.geteuid() == 0, "namespaces for a whole system need root"
    site = sysconfig.get_path("purelib")
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    with tempfile.TemporaryDirectory(prefix="douane-boot-") as folder, _cgroup() as cgroup:
        # Not one below a home, which the units do not show, if the system has one of the same version.
        prefix = "/usr" if os.path.exists(f"/usr/bin/{python}") else sys.base_prefix
        words = [str(_BOOT), folder, str(cgroup), str(TOP), site, prefix, python]
        with open(f"{folder}.log", "w+b") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                machine = Machine(until("systemd runs", lambda: _init_of(process, log.name)))
                until(
                    "systemd answers", lambda: machine.attempt("systemctl", "is-system-running").stdout == "running\n"
                )
                machine.run("systemd-sysusers")
                machine.run("systemd-tmpfiles", "--create", "douane.conf")
                yield machine
            finally:
                for child in psutil.Process(process.pid).children():
                    child.send_signal(signal.SIGKILL)  # with process 1 of its namespace, all others end
                process.wait(SECONDS)
                os.unlink(log.name)


def _init_of(process: subprocess.Popen[bytes], log: str) -> int:
    assert process.poll() is None, Path(log).read_text()
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "systemd":
                return child.pid
    return 0


@contextmanager
def _cgroup() -> Iterator[Path]:
    """A new cgroup beside all others, and not below one that has processes."""
    rows = [row.split() for row in Path("/proc/mounts").read_text().splitlines()]
    mount = next(row[1] for row in rows if row[2] == "cgroup2")
    folder = Path(tempfile.mkdtemp(prefix="douane-boot-", dir=mount))
    try:
        yield folder
    finally:
        for path in sorted(folder.glob("**/"), key=lambda path: len(path.parts), reverse=True):
            until(f"{path} is empty", lambda path=path: _remove(path))


def _remove(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()
