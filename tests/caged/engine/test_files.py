"""Plugins with `reads = "files"` in real sandboxes: one reader for all, and no accept without it."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import subprocess
from pathlib import Path

import pytest

from douane.declared import DeclaredImage
from douane.engine import Inspection, PlanError, RunOptions, inspect_image, load_plan
from douane.plan import resolve
from douane.plan.builtin import FILES_READER
from douane.stream.push_source import EARLY_BYTES
from douane_plugin import wire
from support.wire_programs import ACCEPT, LISTEN, begin, frame, speaker

PLUGINS = Path(__file__).parent / "plugins" / "files.py"
MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("nothing_left")


def plan(*plugins: str, guest: str = "") -> str:
    """A plan: `format`, and plugins as "name use" with more lines."""
    tables = [f"[guest]\n{guest}", '[[plugin]]\nname = "format"\nuse = "format"']
    for plugin in plugins:
        name, use, *more = plugin.split(None, 2)
        use = use if ":" in use or use == "decompress" else f"{PLUGINS}:{use}"
        tables.append("\n".join(["[[plugin]]", f'name = "{name}"', f"use = '{use}'", *more]))
    return "\n".join(tables)


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Path:
    """A qcow2 of an ext4 with a file of 20 MiB, more than the ring holds, a hole, and a second name."""
    folder = tmp_path_factory.mktemp("disk")
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tree / "large").write_bytes(os.urandom(20 * MIB))
    os.link(tree / "large", tree / "etc/again")
    with (tree / "sparse").open("wb") as sparse:
        sparse.truncate(50 * MIB)
    raw, image = folder / "disk.raw", folder / "disk.qcow2"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, raw, "64M"], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True, capture_output=True)
    return image


@pytest.fixture(scope="module")
def unknown(tmp_path_factory) -> bytes:
    """A disk of which nothing can be read."""
    return bytes(MIB) + b"noise".ljust(MIB, b"\0")


def verdict(report, name):
    return next(verdict for verdict in report.verdicts if verdict.plugin == name)


def outcomes(report) -> dict[str, str]:
    return {verdict.plugin: verdict.code or verdict.outcome for verdict in report.verdicts}


@pytest.mark.parametrize("word", [b"y", b"n"])
def test_a_constructor_goes_on_while_the_image_arrives(tmp_path, disk, tier, word) -> None:
    arrived = bytearray()
    config = tmp_path / "plan.toml"
    config.write_text(plan("one Digests", f'late Prepares grants = {{ word = "unix:{tmp_path}/word" }}'))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/word")
        listener.listen()
        inspection = Inspection(load_plan(str(config)), DeclaredImage(), RunOptions(tier=tier))
        try:
            with listener.accept()[0] as connection:
                with disk.open("rb") as image:
                    while data := image.read(MIB):
                        inspection.write(data)
                        arrived += data
                assert len(arrived) > 2 * EARLY_BYTES, "more than goes in without a run"
                connection.send(word)
                if word == b"n":
                    with pytest.raises(PlanError, match=r"'late'.*the rules do not compile"):
                        inspection.finish()
                    return
                report = inspection.finish()
        finally:
            inspection.abort("the test is over")
    assert report.received.sha512 == hashlib.sha512(arrived).hexdigest()
    assert outcomes(report) == dict.fromkeys(("format", "one", "late"), "accepted")


class Untouched:
    """An image of which nothing may be read."""

    name, size = "the image", None

    def pump(self, ring) -> None:
        pytest.fail("a byte was read")

    def file(self) -> None:
        return None

    def close(self) -> None:
        pass


def test_a_wrong_setting_of_a_plugin_that_reads_files_is_found_before_any_byte_is_read(tmp_path, tier) -> None:
    config = tmp_path / "plan.toml"
    config.write_text(plan('wrong Prepares config = { places = "many" }'))
    with pytest.raises(PlanError, match="places"):
        inspect_image(load_plan(str(config)), DeclaredImage(), Untouched(), options=RunOptions(tier=tier))


def test_two_plugins_read_all_files_by_one_reader(run, disk) -> None:
    expected = hashlib.sha256(disk.read_bytes()).hexdigest()
    text = plan("one Digests", "two Digests", f'sum checksum config = {{ expected = "{expected}" }}')
    report = run(str(disk), toml=text.replace(f"{PLUGINS}:checksum", "checksum"))
    assert (report.outcome, outcomes(report)) == (
        "accepted",
        dict.fromkeys(("format", "one", "two", "sum"), "accepted"),
    )
    properties = [verdict(report, name).properties for name in ("one", "two")]
    assert properties[0]["one.total"] == properties[1]["two.total"]
    assert (properties[0]["one.entries"], properties[0]["one.unread"]) == (7, 0)
    [reader] = report.readers
    assert (reader.outcome, reader.documents) == ("accepted", {"unread": {"parts": 0, "listed": []}})
    assert reader.bytes_seen > 20 * MIB
    assert reader.ran.use == FILES_READER
    assert report.stored.size == disk.stat().st_size


def test_what_is_unread_is_in_the_report_and_who_did_not_ask_has_not_accepted(run, unknown) -> None:
    report = run(unknown, toml=plan("asks Digests", "careless Careless on_incomplete = 'warn'"))
    assert report.outcome == "accepted"
    assert outcomes(report)["asks"] == "accepted"
    answer = verdict(report, "careless")
    assert (answer.outcome, answer.code) == ("incomplete", "guest-unknown")
    assert "did not ask" in answer.message
    [reader] = report.readers
    assert reader.documents["unread"]["parts"] == 1
    assert run(unknown, toml=plan("careless Careless")).outcome == "undecided"


def test_a_transform_before_it_makes_the_guest_that_is_seen(run, disk, tmp_path) -> None:
    packed = tmp_path / "disk.qcow2.gz"
    packed.write_bytes(gzip.compress(disk.read_bytes(), 1))
    report = run(str(packed), toml=plan("unpack decompress", "files Digests"))
    assert report.outcome == "accepted"
    assert verdict(report, "files").properties["files.entries"] == 7


def test_a_reader_that_nobody_needs_any_more_is_stopped_and_a_slow_auditor_holds_up_nothing(run, disk) -> None:
    report = run(str(disk), toml=plan("first First on_incomplete = 'warn'", "slow Slow mode = 'audit'"))
    assert report.outcome == "accepted"
    assert outcomes(report)["slow"] == "auditor-too-slow"
    assert outcomes(report)["first"] == "accepted"


@pytest.mark.usefixtures("wire_c")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(ACCEPT, "guest-unknown", id="did-not-ask"),
        pytest.param(frame(wire.ACCEPT, {"unread": True}), "accepted", id="asked"),
        pytest.param(frame(wire.ACCEPT, {"unread": 1}), "plugin-protocol", id="neither"),
    ],
)
def test_a_program_that_accepts_at_once_says_whether_it_asked(run, unknown, answer, code) -> None:
    script = speaker(*begin(reads="files"), LISTEN, answer)
    report = run(unknown, toml=plan() + f"\n[[plugin]]\nname = 'wired'\nuse = \"{script}\"\n")
    assert outcomes(report)["wired"] == code
    assert (report.outcome == "accepted") == (code == "accepted")


def test_a_program_cannot_have_asked_before_all_records_were_sent(run, disk) -> None:
    script = speaker(*begin(reads="files"), frame(wire.ACCEPT, {"unread": True}))
    wired = f"\n[[plugin]]\nname = 'wired'\nuse = \"{script}\"\n"
    report = run(str(disk), toml=plan(guest="depth = 1") + wired)  # 20 MiB of records, and a folder that is too deep
    assert (report.outcome, outcomes(report)["wired"]) == ("undecided", "guest-too-much")


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        ("Killed", "SIGKILL"),
        ("Raises", "out of its range"),
        ("Hangs", "needed more than 300 ms"),
        ("Leaves", "put out no records"),
        ("Conceals", "does not say what it could not read"),
        ("Floods", "produced more than"),
        ("Cut", "end before the last"),
        ("Noise", "a record of the type"),
    ],
)
def test_nobody_accepts_on_a_reader_that_fails(run, monkeypatch, reader, words) -> None:
    monkeypatch.setattr(resolve, "FILES_READER", f"{PLUGINS}:{reader}")
    monkeypatch.setattr(resolve, "GiB", MIB)  # what records may take beside files
    timeout = "300ms" if reader == "Hangs" else "10m"
    report = run(bytes(MIB), toml=plan("careless Careless", guest=f'timeout = "{timeout}"\ndelivered = 1'))
    assert (report.outcome, report.code) == ("undecided", "guest-reader-failed")
    answer = verdict(report, "careless")
    assert words in f"{answer.message} {answer.detail}"


def test_the_bounds_of_the_reader_are_settings(run, disk) -> None:
    report = run(str(disk), toml=plan("asks Digests", guest="entries = 2"))
    assert verdict(report, "asks").properties["asks.unread"] >= 1
    report = run(str(disk), toml=plan("asks Digests", guest='timeout = "1ms"'))
    assert (report.outcome, report.code) == ("undecided", "guest-reader-failed")
