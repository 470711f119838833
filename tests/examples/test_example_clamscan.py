"""clamscan.sh: a check around a program that fails open fails closed."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import zipfile
from pathlib import Path

import pytest
from example_plugins import MIB, PLUGINS, TIERS, Check

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-" + rb"ANTIVIRUS-TEST-FILE!$H+H*"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A folder with a database of one signature, which finds the test file anywhere (`NAME:TYPE:OFFSET:BYTES`)."""
    folder = tmp_path / "database"
    folder.mkdir()
    (folder / "test.ndb").write_text(f"Test.File:0:*:{EICAR.hex()}\n")
    return folder


def plan(database: Path, scratch: str = "1GiB") -> str:
    return (
        '[[plugin]]\nname = "clamscan"\nuse = "exec:plugins/clamscan.sh {grant:db}"\n'
        f'grants = {{ db = "dir:{database}" }}\nrefuse = [10]\nscratch = "{scratch}"\n'
    )


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("file", data)
    return file.getvalue()


@pytest.mark.parametrize("tier", TIERS)
def test_an_infected_image_is_refused(check: Check, database: Path, tier: str) -> None:
    for image in (EICAR, bytes(MIB) + EICAR, zipped(EICAR), bytes(110 * MIB) + EICAR):
        run = check(image, plan(database), tier=tier)
        assert run.answer == ("refused", "refused"), (len(image), run.stderr)
        assert "Test.File" in run.report["message"]


@pytest.mark.parametrize("tier", TIERS)
def test_a_clean_image_is_accepted(check: Check, database: Path, tier: str) -> None:
    for image in (b"", b"a disk", bytes(3 * MIB), zipped(b"nothing")):
        assert check(image, plan(database), tier=tier).answer == ("accepted", None)


@pytest.mark.parametrize("tier", TIERS)
def test_without_signatures_nothing_is_accepted(check: Check, database: Path, tier: str) -> None:
    other = "Other.File:0:*:" + b"another pattern of bytes".hex() + "\n"
    for content in (None, "no signature\n", other):
        (database / "test.ndb").unlink(missing_ok=True)
        if content is not None:
            (database / "test.ndb").write_text(content)
        run = check(b"a disk", plan(database), tier=tier)
        assert (run.code, run.report["code"]) == (3, "plugin-died"), run.stderr


@pytest.mark.parametrize("tier", TIERS)
def test_without_room_nothing_is_accepted(check: Check, database: Path, tier: str) -> None:
    run = check(bytes(2 * MIB), plan(database, "1MiB"), tier=tier)
    assert (run.code, run.report["code"]) == (3, "plugin-died"), run.stderr


def test_what_clamscan_cannot_read_is_not_accepted(check: Check, database: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    subprocess.run(["zip", "-q", "-P", "password", "archive.zip", "file"], cwd=tmp_path, check=True)
    run = check(tmp_path / "archive.zip", plan(database))
    assert (run.code, run.report["code"]) == (3, "plugin-died")
    assert "cannot look into all of the image" in run.stderr


def test_clamscan_fails_open_and_the_script_does_not(tmp_path: Path, database: Path) -> None:
    """Without a temporary folder, clamscan says OK: as it did in every sandbox that had no /tmp."""
    infected = tmp_path / "infected"
    infected.write_bytes(EICAR)
    missing = tmp_path / "missing"
    words = ["clamscan", f"--database={database}", "--no-summary", f"--tempdir={missing}"]
    open_words = subprocess.run([*words, infected], check=False, capture_output=True, text=True)
    assert (open_words.returncode, open_words.stdout) == (0, f"{infected}: OK\n")

    program = tmp_path / "bin" / "clamscan"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /usr/bin/clamscan {shlex.quote(words[-1])} "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "TMPDIR": str(work)}
    ended = subprocess.run([PLUGINS / "clamscan.sh", database], input=EICAR, env=env, check=False, capture_output=True)
    assert ended.returncode == 2
    assert b"does not find the virus in its test file" in ended.stderr
