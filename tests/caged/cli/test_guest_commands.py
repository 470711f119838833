"""`douane ls` and `cat`: what is in the guest of an image, wherever the image is and however it is packed."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.program import MIB, Program, end
from support.waiting import until

LUKS = b"LUKS\xba\xbe\0\2".ljust(MIB, b"\0")
OS_RELEASE = 'ID=example\nVERSION_ID="1"\nPRETTY_NAME="Example \u2028 1"\n'.encode()
HOLES = b"begin" + bytes(3 * MIB) + b"end"


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw image with a system in ext4, made by mkfs."""
    place = tmp_path_factory.mktemp("guest")
    root = place / "root"
    (root / "etc").mkdir(parents=True)
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "usr/lib/node_modules/@b/c").mkdir(parents=True)
    (root / "etc/os-release").write_bytes(OS_RELEASE)
    (root / "var/lib/dpkg/status").write_text(
        "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nArchitecture: all\n"
    )
    (root / "usr/lib/node_modules/@b/c/package.json").write_text('{"name": "@b/c", "version": "4"}')
    (root / "etc/empty").touch()
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nu\x1b[2J:x:9:9::/:/bin/sh\n")
    (root / "etc/shadow").write_text("root:$6$SALT$SECRET:1::::::\nu\x1b[2J::1::::::\n")
    (root / "etc/a\nb\x1b[2J").write_text("x")
    (root / os.fsdecode(b"\xff")).symlink_to("etc")
    with (root / "holes").open("wb") as file:
        file.write(b"begin")
        file.seek(len(HOLES) - 3)
        file.write(b"end")
    path = place / "disk.raw"
    path.touch()
    os.truncate(path, 16 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-d", root, path], check=True)
    return path


def guest_lines(image: Path) -> bytes:
    """What douane-guest prints of it, without a sandbox."""
    command = [sys.executable, "-m", "douane_guest", image, "ls", "--recursive", "--digest", "--json"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("tier", ["full", "strict"])
def test_a_file_a_stored_and_a_packed_image_have_the_same_lines(
    douane: Program, disk: Path, tmp_path: Path, tier: str
) -> None:
    lines = guest_lines(disk)
    entries = {entry["path"]: entry for entry in map(json.loads, lines.splitlines())}
    assert entries["/\udcff"]["link"] == "etc"
    assert entries["/etc/a\nb\x1b[2J"]["sha256"].startswith("2d711642")
    listed = ("--recursive", "--digest", "--json", "--sandbox", tier)
    assert douane.run("ls", disk, *listed).stdout == lines
    if tier == "full":
        image = douane.bring_in(disk)
        assert douane.run("ls", image[:8], *listed).stdout == lines
        return
    packed = tmp_path / "disk.tar"
    with tarfile.open(packed, "w") as archive:
        archive.add(disk, "disk.raw")
    for argument, data, transform in (
        (packed, None, "untar (disk disk.raw)"),
        ("-", gzip.compress(packed.read_bytes(), 1), "untar (disk disk.raw, compression gzip)"),
        ("-", gzip.compress(disk.read_bytes(), 1), "decompress (compression gzip, layers 1)"),
    ):
        result = douane.run("ls", argument, *listed, input=data)
        assert (result.code, result.stdout) == (0, lines), result.stderr
        assert f"unpacked by {transform}" in result.stderr


def test_the_image_is_read_where_it_is(douane: Program, disk: Path) -> None:
    tracing = ("strace", "-f", "-qq", "-e", "trace=open,openat", "-o", douane.place / "calls")
    result = douane.run("cat", disk, "/etc/os-release", wrap=tuple(map(str, tracing)))
    assert (result.code, result.stdout) == (0, OS_RELEASE)
    assert "O_TMPFILE" not in (douane.place / "calls").read_text()


def test_what_cannot_be_read_is_listed_and_ends_with_3(douane: Program, tmp_path: Path) -> None:
    image = tmp_path / "luks"
    image.write_bytes(LUKS)
    part = {"unread": "disk", "code": "guest-encrypted", "why": "the device is encrypted: LUKS2"}
    result = douane.run("ls", image, "--json")
    assert (result.code, result.json) == (3, part)
    result = douane.run("ls", image)
    assert (result.code, result.stdout) == (3, b"")
    assert "unread: disk: the device is encrypted: LUKS2 (guest-encrypted)" in result.stderr
    result = douane.run("cat", image, "/etc/shadow")
    assert result.code == 3
    assert "disk could not be read: the device is encrypted" in result.stderr


def test_cat_writes_a_file_as_it_is(douane: Program, disk: Path) -> None:
    result = douane.run("cat", disk, os.fsdecode(b"/\xff/../holes"))
    assert (result.code, result.stdout == HOLES) == (0, True), result.stderr
    result = douane.run("cat", disk, "/etc/empty", "--volume", "disk")
    assert (result.code, result.stdout) == (0, b""), result.stderr
    for arguments, words in (
        (("/etc/absent",), "/etc/absent: No such file or directory"),
        (("/etc",), "/etc: Is a directory"),
        (("/etc", "--volume", "p1"), "the image has no volume 'p1'; its volumes: disk"),
    ):
        result = douane.run("cat", disk, *arguments)
        assert (result.code, result.stdout) == (1, b"")
        assert words in result.stderr


def test_a_person_sees_rows_and_no_name_drives_the_terminal(douane: Program, disk: Path) -> None:
    result = douane.run("ls", disk, "/etc")
    rows = result.text.splitlines()
    assert [row.split(":/", 1)[1] for row in rows if '"' not in row] == [
        *("etc/empty", "etc/os-release", "etc/passwd", "etc/shadow")
    ]
    assert [row for row in rows if row.endswith(' disk:"/etc/a\\nb\\u001b[2J"')]
    assert rows[0].startswith("-rw-r--r-- ")


def test_a_reader_that_goes_away_or_never_reads_ends_everything(douane: Program, disk: Path) -> None:
    near, far = os.pipe()
    process = douane.start("cat", disk, "/holes", stdout=far)
    os.close(far)
    assert os.read(near, 5) == b"begin"
    os.close(near)
    assert end(process).code == 3

    near, far = os.pipe()
    process = douane.start("cat", disk, "/holes", stdout=far)
    os.close(far)
    assert os.read(near, 5) == b"begin"
    process.send_signal(signal.SIGINT)
    assert end(process).code == 130
    os.close(near)


def test_an_image_that_changes_meanwhile_is_told(douane: Program, disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "copy.raw"
    subprocess.run(["cp", "--sparse=always", disk, image], check=True)
    near, far = os.pipe()
    process = douane.start("cat", image, "/holes", stdout=far)
    os.close(far)
    until("it is being read", lambda: os.read(near, 5))
    os.utime(image, (1, 1))
    with open(near, "rb") as rest:
        rest.read()
        result = end(process)
    assert result.code == 3
    assert "changed while it was being read" in result.stderr


def test_a_bill_of_materials_is_valid_and_the_same_each_time(douane: Program, disk: Path, tmp_path: Path) -> None:
    result = douane.run("sbom", disk)
    assert result.code == 0, result.stderr
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(result.text) is None
    bill = result.json
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    purls = [component.get("purl") for component in bill["components"]]
    assert purls == [None, "pkg:deb/example/a@1:2-3?arch=all&distro=example-1", "pkg:npm/%40b/c@4"]
    stored = douane.run("sbom", douane.bring_in(disk)[:8])
    assert stored.json["serialNumber"] == bill["serialNumber"]
    assert stored.json["components"] == bill["components"]

    encrypted = tmp_path / "luks"
    encrypted.write_bytes(LUKS)
    result = douane.run("sbom", encrypted, "--timestamp")
    assert (result.code, result.json["compositions"][0]["aggregate"]) == (3, "incomplete")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(result.text) is None


def test_a_person_and_a_program_see_the_facts_of_the_guest(douane: Program, disk: Path) -> None:
    result = douane.run("inspect", "--guest", disk, "--json", "--sandbox", "strict")
    assert result.code == 0, result.stderr
    assert (result.json["disk"]["format"], result.json["sandbox"]) == ("raw", "strict")
    assert [(volume["name"], volume["filesystem"], volume["mounted"]) for volume in result.json["volumes"]] == [
        ("disk", "ext4", ["/"])
    ]
    (system,) = result.json["systems"]
    assert (system["packages"], system["account_count"], system["machine_id"]) == ({"deb": 1, "npm": 1}, 3, "absent")
    assert [(account["password"], account["hash"]) for account in system["accounts"]] == [
        ("set", "sha512"),
        ("empty", ""),
    ]
    assert b"SECRET" not in result.stdout

    result = douane.run("inspect", "--guest", douane.bring_in(disk)[:8])
    assert result.code == 0, result.stderr
    for words in ("system on disk: Example", "1 deb, 1 npm", "root (uid 0, /bin/sh): password sha512"):
        assert words in result.text
    assert "no password is needed" in result.text
    assert "\x1b" not in result.text
    assert "SECRET" not in result.text


def test_an_inspection_of_the_guest_that_could_not_read_all_ends_with_3(douane: Program, tmp_path: Path) -> None:
    image = tmp_path / "luks"
    image.write_bytes(LUKS)
    result = douane.run("inspect", "--guest", image)
    assert result.code == 3
    assert result.text.endswith("unread: 1\n  disk: the device is encrypted: LUKS2 (guest-encrypted)\n")
    parts = [{"place": "disk", "code": "guest-encrypted", "why": "the device is encrypted: LUKS2"}]
    assert douane.run("inspect", "--guest", image, "--json").json["unread"] == {"count": 1, "parts": parts}
    assert douane.run("inspect", "--guest", image, "--disk-format", "raw").code == 2
