"""Real libraries and programs with files of their own, which only take a path."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.plans import plugin

PLUGINS = Path(__file__).parent / "plugins" / "paths.py"


class Keys:
    """A key pair, made anew; `sign` makes a detached signature."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.ring = Path(home) / "ring.gpg"
        self._gpg("--passphrase", "", "--quick-generate-key", "images@example.org", "ed25519", "sign", "never")
        self.ring.write_bytes(self._gpg("--export"))

    def sign(self, data: bytes, *options: str) -> bytes:
        return self._gpg(*(options or ("--detach-sign",)), data=data)

    def _gpg(self, *words: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--pinentry-mode", "loopback", *words]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    home = tempfile.mkdtemp(prefix="gpg-", dir="/tmp")  # the agent's socket has a path of at most 107 bytes
    yield Keys(home)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
    shutil.rmtree(home)


@pytest.fixture
def magic(tmp_path) -> Path:
    """Compiled rules that are not the system's, which every sandbox shows."""
    return Path(shutil.copy("/usr/lib/file/magic.mgc", tmp_path / "site.mgc"))


def plan(name: str, programs: tuple[str, ...] = (), **grants: str) -> str:
    return plugin(f"{PLUGINS}:{name}", "p", programs=programs, grants=grants)


def program(command: str, *statuses: int, **grants: str) -> str:
    return plugin(f"exec:{command}", "p", refuse=statuses, grants=grants)


def test_gpgv_checks_a_signed_image_with_a_granted_keyring(run, keys):
    toml = program("/bin/sh -c 'gpgv --keyring \"$0\" || exit 10' {grant:keys}", 10, keys=f"file:{keys.ring}")
    signed = keys.sign(b"an image" * 1000, "--sign")
    assert run(signed, toml=toml).outcome == "accepted"
    assert run(signed[:-9] + bytes(9), toml=toml).outcome == "refused"
    assert run(b"an image", toml=toml).outcome == "refused"


def test_gpgv_as_the_program_itself(run, keys):
    toml = program("gpgv --keyring {grant:keys}", 1, 2, keys=f"file:{keys.ring}")
    assert run(keys.sign(b"an image", "--sign"), toml=toml).outcome == "accepted"
    assert run(b"an image", toml=toml).outcome == "refused"


def test_gpgv_in_a_plugin_checks_a_detached_signature(run, keys, tmp_path):
    (tmp_path / "signature").write_bytes(keys.sign(b"an image"))
    toml = plan("Scans", ("gpgv",), keys=f"file:{keys.ring}", signature="file:signature")
    assert run(b"an image", toml=toml).outcome == "accepted"
    report = run(b"another image", toml=toml)
    assert (report.outcome, report.code) == ("refused", "signature")


@pytest.mark.parametrize(("image", "kind"), [(b"\x1f\x8b\x08", "application/gzip"), (b"%PDF-1.7\n", "application/pdf")])
def test_python_magic_has_compiled_rules(run, magic, image, kind):
    report = run(image + bytes(100), toml=plan("Magic", rules=f"file:{magic}"))
    assert report.outcome == "accepted", report.verdicts[0].detail
    assert report.properties["p.type"] == kind


def test_file_has_compiled_rules(run, magic):
    command = "/bin/sh -c 'file --brief --magic-file \"$0\" - >&2; exit 10' {grant:rules}"
    assert run(b"%PDF-1.7\n", toml=program(command, 10, rules=f"file:{magic}")).message.startswith("PDF document")


def test_yara_has_a_folder_of_rules_that_include_each_other(run, tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "base.yar").write_text('rule base { strings: $a = "forbidden" condition: $a }\n')
    (folder / "all.yar").write_text('include "./parts/other.inc"\nrule more { condition: other and filesize > 100 }\n')
    (folder / "parts").mkdir()
    (folder / "parts" / "other.inc").write_text('rule other { strings: $b = "other" condition: $b }\n')
    toml = plan("Yara", rules=f"dir:{folder}")
    report = run(bytes(1000), toml=toml)
    assert (report.outcome, report.properties) == ("accepted", {"p.rules": 3}), report.verdicts[0].detail
    assert run(b"a forbidden word", toml=toml).code == "rule"


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_sqlite_reads_a_list_that_others_change(run, tmp_path, mode):
    folder = tmp_path / "lists"
    folder.mkdir()
    writer = sqlite3.connect(folder / "allowed.db")
    try:
        writer.execute(f"pragma journal_mode = {mode}")
        writer.execute("create table allowed (name text)")
        writer.execute("insert into allowed values ('linux')")
        writer.commit()
        toml = plan("Listed", lists=f"dir:{folder}")
        assert run(b"x", toml=toml, declared={"name": "linux"}).outcome == "accepted"
        assert run(b"x", toml=toml, declared={"name": "other"}).code == "not-listed"
        writer.execute("insert into allowed values ('other')")
        writer.commit()
        assert run(b"x", toml=toml, declared={"name": "other"}).outcome == "accepted"
    finally:
        writer.close()


def test_files_that_only_their_owner_may_read_work(run, keys, tmp_path):
    """Of a user that is neither Douane's nor the sandbox's."""
    folder = tmp_path / "private"
    folder.mkdir()
    shutil.copy(keys.ring, folder / "ring.gpg")
    if os.geteuid() == 0:
        os.chown(folder / "ring.gpg", 12345, 12345)
        os.chown(folder, 12345, 12345)
    (folder / "ring.gpg").chmod(0o600)
    folder.chmod(0o700)
    signed = keys.sign(b"an image", "--sign")
    for grant, ring in ((f"file:{folder}/ring.gpg", "{grant:keys}"), (f"dir:{folder}", "{grant:keys}/ring.gpg")):
        toml = program(f"gpgv --keyring {ring}", 1, 2, keys=grant)
        report = run(signed, toml=toml)
        assert report.outcome == "accepted", report.verdicts[0]
