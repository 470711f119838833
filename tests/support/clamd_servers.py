"""Servers that answer like clamd: ClamAV's own, with a database of three signatures, and a server of the test."""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = b"a signature that only this test has"
BLOCKED = b"a file that is blocked as a whole" * 50
STREAM_LIMIT = 8 << 20

CONFIGURATION = """
LocalSocket {folder}/clamd.ctl
DatabaseDirectory {folder}/database
LogFile {folder}/log
TemporaryDirectory {folder}/scanned
Foreground yes
User {user}
StreamMaxLength {limit}
MaxScanSize {most}
MaxFileSize {most}
MaxThreads 2
AlertEncrypted yes
AlertExceedsMax yes
"""


@contextmanager
def real_clamd(folder: Path, limit: str = "") -> Iterator[Path]:
    """Run ClamAV's daemon with its own signatures; yield the path of its socket when it listens. `limit`: of a file."""
    database = folder / "database"
    database.mkdir(parents=True)
    (folder / "scanned").mkdir()
    # Name:type of target (0, any):offset (*, any):bytes
    (database / "test.ndb").write_text(f"Test.Mark:0:*:{MARK.hex()}\n")
    # digest:length:name
    (database / "test.hdb").write_text(f"{hashlib.md5(BLOCKED).hexdigest()}:{len(BLOCKED)}:Test.Blocked\n")
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
    (folder / "clamd.conf").write_text(
        CONFIGURATION.format(folder=folder, user=user, limit=limit or STREAM_LIMIT, most=limit or "64M")
    )
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    program = shutil.which("clamd", path=path)
    assert program, "there is no clamd; `scripts/setup.sh dev` installs it"
    words = [program, "--config-file", str(folder / "clamd.conf")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as daemon:
        try:
            assert daemon.stdout is not None
            output = b""
            # In the foreground, clamd prints this when it has its socket.
            while b"Self checking" not in output and b"Listening" not in output:
                part = os.read(daemon.stdout.fileno(), 4096)
                assert part, f"clamd ended: {output.decode(errors='replace')}"
                output += part
            yield folder / "clamd.ctl"
        finally:
            daemon.terminate()
            daemon.communicate(timeout=600)


Answer = Callable[[socket.socket], None]


@contextmanager
def small_server(folder: Path, answer: Answer) -> Iterator[Path]:
    """Call `answer` with each connection to a socket, whose path is yielded; its exceptions fail the test."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "clamd.ctl"
    errors: list[BaseException] = []
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            while listening in select.select([listening, read], [], [])[0]:
                with listening.accept()[0] as connection:
                    connection.settimeout(60)
                    try:
                        answer(connection)
                    except BaseException as error:
                        errors.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            os.close(write)
            thread.join(60)
            os.close(read)
    assert errors == []


def receive(connection: socket.socket, length: int) -> bytes:
    """Return `length` bytes, or fewer at the end."""
    data = b""
    while len(data) < length and (part := connection.recv(length - len(data))):
        data += part
    return data


def streamed(connection: socket.socket) -> bytes:
    """Return the bytes that a client sends with INSTREAM (clamd(8))."""
    assert receive(connection, 10) == b"zINSTREAM\0"
    data = []
    while length := struct.unpack(">I", receive(connection, 4))[0]:
        data.append(receive(connection, length))
        assert len(data[-1]) == length
    return b"".join(data)


PROBED = ("Heuristics.Encrypted.Zip FOUND", "Heuristics.Limits.Exceeded.MaxRecursion FOUND")
"""What a clamd says to the archives that tell whether it says what it skips."""


def answer_probes(connection: socket.socket, answers: tuple[str, ...] = PROBED) -> None:
    """Take these archives, and answer."""
    for number, words in enumerate(answers, 2):
        assert streamed(connection).startswith(b"PK")
        connection.sendall(f"{number}: stream: {words}\0".encode())
