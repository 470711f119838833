"""The inspector `clamav`, with a real clamd, and with servers that behave as that one seldom does."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from douane.plugins.clamav import ClamAv, session
from douane.plugins.clamav.database import age_in_days
from douane.plugins.clamav.limits import CEILING, parse_limits
from douane_plugin.testing import Address, Result, WrongConfiguration, run
from support.clamd_servers import BLOCKED, MARK, PROBED, answer_probes, real_clamd, receive, streamed

MIB = 1 << 20
CONF = "MaxFileSize 64M\nMaxScanSize 64M\nStreamMaxLength 8M\nAlertExceedsMax yes\nAlertEncrypted yes\n"
ANY_AGE = {"max_database_age": 0}
VERSION = "ClamAV 1.4.3/27480/Mon Dec  1 09:48:01 2025"
Disk = Callable[..., Path]


@pytest.fixture(scope="module")
def clamd() -> Iterator[Address]:
    with TemporaryDirectory(dir="/tmp") as folder, real_clamd(Path(folder)) as path:
        yield Address(f"unix:{path}")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Makes an ext4 image with these files."""

    def make(**files: bytes | None) -> Path:
        tree = tmp_path / "tree"
        tree.mkdir()
        for name, content in files.items():
            if content is None:  # a hole
                with (tree / name).open("wb") as file:
                    file.truncate(9 * MIB)
            else:
                (tree / name).write_bytes(content)
        subprocess.run(["mkfs.ext4", "-q", "-d", tree, tmp_path / "disk.img", "32M"], check=True)
        return tmp_path / "disk.img"

    return make


def scan(image: Path, clamd: object, *, sandbox: str | None = None, **grants: object) -> Result:
    everything = {"clamd": clamd, "conf": CONF, **grants}
    return run(ClamAv, image, grants=everything, config=ANY_AGE, sandbox=sandbox)


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_virus_in_a_file_is_refused_with_its_name_and_path(clamd: Address, disk: Disk, tier: str) -> None:
    result = scan(disk(clean=b"text", bad=b"x" * 100 + MARK, blocked=BLOCKED), clamd, sandbox=tier)
    assert (result.outcome, result.code) == ("refused", "clamav-found")
    assert "disk:/bad: the virus scanner found Test.Mark" in result.message
    assert "disk:/blocked: the virus scanner found Test.Blocked" in result.message


def test_a_clean_image_is_accepted_and_each_content_is_scanned_once(clamd: Address, disk: Disk) -> None:
    large = os.urandom(5 * MIB)
    result = scan(disk(a=b"same", b=b"same", c=b"other", d=large, empty=b""), clamd)
    assert result.outcome == "accepted", result
    assert (result.properties["files"], result.properties["scanned"]) == (4, 3)
    assert result.properties["engine"].startswith("ClamAV")


def test_a_virus_in_an_archive_is_refused(clamd: Address, disk: Disk, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", b"y" * 1000 + MARK)
    assert scan(disk(archive=(tmp_path / "a.zip").read_bytes()), clamd).code == "clamav-found"


def test_an_encrypted_archive_was_not_scanned(clamd: Address, disk: Disk) -> None:
    encrypted = bytearray()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner", b"secret")
        encrypted = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        encrypted[encrypted.index(signature) + offset] |= 1
    result = scan(disk(archive=bytes(encrypted)), clamd)
    assert (result.outcome, result.code) == ("incomplete", "clamav-encrypted")


def test_a_file_that_clamd_would_not_scan_is_incomplete(clamd: Address, disk: Disk) -> None:
    result = scan(disk(hole=None, clean=b"text"), clamd)
    assert (result.outcome, result.code) == ("incomplete", "clamav-too-large")
    assert "disk:/hole" in result.message


def test_known_files_need_no_scan(clamd: Address, disk: Disk) -> None:
    bad = b"z" + MARK
    known = f"{hashlib.sha256(bad).hexdigest()}  bad\n{hashlib.sha256(bytes(9 * MIB)).hexdigest()}  hole\n"
    result = scan(disk(bad=bad, hole=None), clamd, known=known)
    assert result.outcome == "accepted", result
    assert (result.properties["known"], result.properties["scanned"]) == (2, 0)


# Servers that behave as clamd seldom does


def greet(connection: socket.socket, version: str = VERSION) -> None:
    assert receive(connection, 20) == b"zIDSESSION\0zVERSION\0"
    connection.sendall(f"1: {version}\0".encode())


def answering(words: str) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        greet(connection)
        answer_probes(connection)
        streamed(connection)
        connection.sendall(words.encode())

    return answer


@pytest.mark.parametrize(
    ("words", "outcome", "code"),
    [
        ("4: stream: OK\0", "accepted", None),
        ("4: stream: Some.Virus FOUND\0", "refused", "clamav-found"),
        ("4: stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND\0", "incomplete", "clamav-limits"),
        ("4: stream: Can't allocate memory ERROR\0", "incomplete", "clamav-error"),
        ("4: INSTREAM: Can't write to temporary file. ERROR\0", "incomplete", "clamav-error"),
        ("9: stream: OK\0", "deferred", "deferred"),
        ("3: stream: OK\0", "deferred", "deferred"),
        ("stream: OK\0", "deferred", "deferred"),
        ("", "deferred", "deferred"),
        ("4: stre", "deferred", "deferred"),
        ("x" * (1 << 17), "deferred", "deferred"),
    ],
)
def test_every_answer_has_its_outcome(disk: Disk, words: str, outcome: str, code: str | None) -> None:
    result = scan(disk(file=b"content"), answering(words))
    assert (result.outcome, result.code) == (outcome, code)


@pytest.mark.parametrize("silent", [0, 1])
def test_a_clamd_that_is_silent_about_what_it_skips_is_incomplete(disk: Disk, silent: int) -> None:
    """The file that is granted says otherwise: clamd has another one, or has not been started again."""

    def answer(connection: socket.socket) -> None:
        greet(connection)
        answer_probes(connection, tuple("OK" if number == silent else words for number, words in enumerate(PROBED)))
        streamed(connection)
        connection.sendall(b"4: stream: OK\0")

    result = scan(disk(file=b"content"), answer)
    assert (result.outcome, result.code) == ("incomplete", "clamav-silent")


def test_a_clamd_that_ends_in_the_middle_is_tried_again_later(disk: Disk) -> None:
    def answer(connection: socket.socket) -> None:
        greet(connection)
        answer_probes(connection)
        receive(connection, 30)

    assert scan(disk(file=b"x" * 5 * MIB), answer).outcome == "deferred"


def test_a_clamd_that_does_not_answer_is_incomplete(disk: Disk) -> None:
    def answer(connection: socket.socket) -> None:
        greet(connection)
        answer_probes(connection)
        streamed(connection)
        receive(connection, 1)

    grants = {"clamd": answer, "conf": CONF}
    result = run(ClamAv, disk(file=b"content"), grants=grants, config={"answer_timeout": 1, **ANY_AGE})
    assert (result.outcome, result.code) == ("incomplete", "clamav-slow")


def test_a_clamd_that_has_hung_up_while_the_image_arrived_is_asked_again(disk: Disk) -> None:
    connections = []
    answer_later = answering("4: stream: Some.Virus FOUND\0")

    def answer(connection: socket.socket) -> None:
        connections.append(connection)
        if len(connections) == 1:
            connection.sendall(b"COMMAND READ TIMED OUT\0")
            return
        answer_later(connection)

    assert scan(disk(file=b"content"), answer).code == "clamav-found"


def test_a_session_that_was_idle_is_begun_anew(clamd: Address, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("douane.plugins.clamav.session.IDLE_SECONDS", 0.0)  # before every file
    result = scan(disk(a=b"one", b=b"two", bad=MARK, c=b"three" * MIB), clamd)
    assert result.message == "disk:/bad: the virus scanner found Test.Mark.UNOFFICIAL"


def test_a_clamd_that_reads_nothing_for_a_while_does_not_stall_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(session, "IDLE_SECONDS", float("inf"))
    signs: list[None] = []
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(session.TooSlow):
        session.Session(ours, lambda _number, _words: None, lambda: signs.append(None), 0.03).scan([bytes(8 * MIB)])
    assert signs


@pytest.mark.parametrize("version", [VERSION.replace("2025", "2020"), "ClamAV 1.4.3"])
def test_old_signatures_are_incomplete(disk: Disk, version: str) -> None:
    grants = {"clamd": lambda connection: greet(connection, version), "conf": CONF}
    result = run(ClamAv, disk(file=b"content"), grants=grants)
    assert (result.outcome, result.code) == ("incomplete", "clamav-outdated")


@pytest.mark.parametrize(
    ("version", "days"),
    [
        ("ClamAV 1.4.3/27480/Mon Dec  1 00:00:00 2025", 1.0),
        ("ClamAV 1.4.3/27480/Tue Dec  2 00:00:00 2025", 0.0),
        ("ClamAV 1.4.3", None),
        ("ClamAV 1.4.3/27480/Mon Foo  1 00:00:00 2025", None),
        ("ClamAV 1.4.3/27480/Mon Dec  x 00:00:00 2025", None),
        ("ClamAV 1.4.3/27480/", None),
    ],
)
def test_the_age_of_signatures(version: str, days: float | None) -> None:
    assert age_in_days(version, now=1764633600.0) == days  # 2025-12-02


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("AlertExceedsMax no", "AlertExceedsMax yes"),
        ("AlertEncrypted", "AlertEncrypted yes"),
        ("AlertEncrypted no\nAlertEncrypted yes", "AlertEncrypted yes"),
        ("MaxFileSize 3X", "which is no size"),
    ],
)
def test_a_clamd_that_would_be_silent_stops_the_plan(change: str, words: str) -> None:
    with pytest.raises(WrongConfiguration, match=words):
        run(ClamAv, b"", grants={"conf": CONF + change + "\n"})


def test_a_plan_without_the_limits_stops() -> None:
    with pytest.raises(WrongConfiguration, match="grant the configuration of clamd"):
        run(ClamAv, b"")


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ("", 100 * MIB),
        ("MaxFileSize 5M", 5 * MIB),
        ("MaxFileSize 5M\nMaxFileSize 9M", 5 * MIB),
        ("MaxFileSize 0\nMaxScanSize 0\nStreamMaxLength 0", CEILING),
    ],
)
def test_the_smallest_limit_counts(settings: str, size: int) -> None:
    assert parse_limits(f"AlertExceedsMax yes\nAlertEncrypted true\n# MaxFileSize 1\n{settings}").file_bytes == size
