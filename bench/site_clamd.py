"""ClamAV's daemon with one signature and no cache, and its own time for a folder: what `inspectors-site` compares with.

With a real database clamd takes longer, and the rest of an import is less beside it: a small one is the hard case.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .driving import WrongOutcome

CONFIGURATION = """LocalSocket {folder}/clamd.ctl
DatabaseDirectory {folder}/database
TemporaryDirectory {folder}
Foreground yes
User {user}
StreamMaxLength 2000M
MaxFileSize 2000M
MaxScanSize 2000M
MaxThreads 4
AlertEncrypted yes
AlertExceedsMax yes
DisableCache yes
"""
MARK = b"a text that no file of a system has"


@contextmanager
def clamd() -> Iterator[Path | None]:
    """The folder of a running clamd, with `clamd.ctl` and `clamd.conf`; None if it is not installed."""
    program = shutil.which("clamd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        yield None
        return
    with TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        (folder / "database").mkdir()
        (folder / "database" / "bench.ndb").write_text(f"Bench.Mark:0:*:{MARK.hex()}\n")
        user = pwd.getpwuid(os.geteuid()).pw_name
        (folder / "clamd.conf").write_text(CONFIGURATION.format(folder=folder, user=user))
        words = [program, "--config-file", str(folder / "clamd.conf")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as daemon:
            try:
                _wait(daemon)
                yield folder
            finally:
                daemon.terminate()
                daemon.communicate()


def _wait(daemon: subprocess.Popen[bytes]) -> None:
    """In the foreground, clamd prints one of these when it has its socket."""
    assert daemon.stdout is not None
    output = b""
    while b"Self checking" not in output and b"Listening" not in output:
        part = os.read(daemon.stdout.fileno(), 4096)
        if not part:
            raise WrongOutcome(f"clamd ended: {output.decode(errors='replace')}")
        output += part


def scan(server: Path, tree: Path) -> None:
    """Let clamd itself scan all files in a folder, by all its threads. Raises WrongOutcome."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server / "clamd.ctl"))
        connection.sendall(f"zMULTISCAN {tree}\0".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    if b"FOUND" in answer:
        raise WrongOutcome(f"clamd: {answer.decode(errors='replace'):.300}")
