"""`clamd`, against ClamAV's own daemon, and against servers that behave as that one seldom does."""

from __future__ import annotations

import os
import random
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from example_plugins import MIB, TIERS, Check

from support.clamd_servers import BLOCKED, MARK, STREAM_LIMIT, Answer, real_clamd, receive, small_server, streamed

PLAN = '[[plugin]]\nname = "clamd"\nuse = "plugins/clamd.py:Clamd"\ngrants = {{ clamd = "unix:{}" }}\n'


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short: a socket's has 107 characters at most (unix(7))."""
    with TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def clamd() -> Iterator[Path]:
    with TemporaryDirectory(dir="/tmp") as folder, real_clamd(Path(folder)) as path:
        yield path


# ClamAV's own


@pytest.mark.parametrize("tier", TIERS)
def test_a_virus_is_refused_by_its_name(check: Check, clamd: Path, tier: str) -> None:
    noise = random.Random(7).randbytes(3 * MIB)
    place = MIB - 11
    assert check(noise, PLAN.format(clamd), tier=tier).answer == ("accepted", None)
    run = check(noise[:place] + MARK + noise[place:], PLAN.format(clamd), tier=tier)
    assert run.answer == ("refused", "virus-found")
    assert "Test.Mark" in run.report["message"]
    assert "clamd: stream: Test.Mark" in run.stderr


def test_a_known_file_is_refused_and_an_empty_image_accepted(check: Check, clamd: Path) -> None:
    run = check(BLOCKED, PLAN.format(clamd))
    assert run.answer == ("refused", "virus-found")
    assert "Test.Blocked" in run.report["message"]
    assert check(b"", PLAN.format(clamd)).answer == ("accepted", None)


@pytest.mark.parametrize("more", [1, 3 * MIB, 24 * MIB])
def test_an_image_too_large_for_clamd_is_incomplete(check: Check, clamd: Path, more: int) -> None:
    assert check(bytes(STREAM_LIMIT), PLAN.format(clamd)).answer == ("accepted", None)
    run = check(bytes(STREAM_LIMIT + more), PLAN.format(clamd))
    assert run.answer == ("undecided", "too-large-to-scan"), run.stderr


def test_an_encrypted_archive_is_incomplete(check: Check, clamd: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as server:
        server.writestr("file", b"a file that was encrypted" * 10)
    data = bytearray(archive.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # says that it is encrypted, which is enough
        data[data.index(signature) + flags] |= 1
    run = check(bytes(data), PLAN.format(clamd))
    assert run.answer == ("undecided", "not-all-scanned"), run.stderr


# servers that behave as ClamAV's seldom does


def answer(text: bytes) -> Answer:
    """Takes the whole stream, then says `text`."""

    def answer(connection: socket.socket) -> None:
        streamed(connection)
        connection.sendall(text)

    return answer


def in_pieces(connection: socket.socket) -> None:
    streamed(connection)
    for letter in b"stream: A.Virus FOUND\0":
        connection.sendall(bytes([letter]))


def early(connection: socket.socket) -> None:
    """Says that it is too much, and closes while the client still sends."""
    receive(connection, 100_000)
    connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")


def gone(connection: socket.socket) -> None:
    """Ends without a word, as a clamd that is restarted."""
    receive(connection, 100_000)


def endless(connection: socket.socket) -> None:
    streamed(connection)
    try:
        while True:
            connection.sendall(b"OK" * 1000)
    except OSError:
        pass  # the plugin has gone


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (answer(b"stream: OK\0"), ("accepted", None)),
        (in_pieces, ("refused", "virus-found")),
        (answer(b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0"), ("undecided", "not-all-scanned")),
        (early, ("undecided", "too-large-to-scan")),
        (gone, ("undecided", "deferred")),
        (answer(b""), ("undecided", "deferred")),
        (answer(b"stream: not OK\0"), ("undecided", "plugin-error")),
        (answer(b"OK\0OK\0"), ("undecided", "plugin-error")),
        (answer(b"stream: Can't allocate memory ERROR\0"), ("undecided", "plugin-error")),
        (answer(b"\xff\xfe\0"), ("undecided", "plugin-error")),
        (endless, ("undecided", "plugin-error")),
    ],
)
def test_only_ok_accepts(check: Check, short: Path, answer: Answer, expected: tuple[str, str | None]) -> None:
    with small_server(short, answer) as path:
        run = check(os.urandom(4 * MIB), PLAN.format(path))
    assert run.answer == expected, run.stderr


def test_all_bytes_arrive_in_order(check: Check, short: Path) -> None:
    image, received = os.urandom(3 * MIB + 5), []

    def answer(connection: socket.socket) -> None:
        received.append(streamed(connection))
        connection.sendall(b"stream: OK\0")

    with small_server(short, answer) as path:
        assert check(image, PLAN.format(path)).code == 0
    assert received == [image]


def test_a_slow_scanner_is_not_a_stall(check: Check, short: Path) -> None:
    """The plugin waits longer than `stall`, and calls `alive`."""

    def answer(connection: socket.socket) -> None:
        streamed(connection)
        connection.settimeout(4)
        with pytest.raises(TimeoutError):  # four seconds, unless the plugin was ended before
            connection.recv(1)
        connection.sendall(b"stream: OK\0")

    with small_server(short, answer) as path:
        assert check(b"image", PLAN.format(path) + 'stall = "3s"\n').answer == ("accepted", None)


def test_without_a_daemon_no_image_is_accepted(check: Check, short: Path) -> None:
    run = check(b"image", PLAN.format(short / "none"))
    assert run.answer == ("undecided", "grant-unavailable")
