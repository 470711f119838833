"""Scratch files of a plugin: bounded, reported, gone afterwards; and plugins that work without progress."""

from __future__ import annotations

import tempfile

import pytest

from douane.errors import DouaneError
from support.plans import plan_of

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("nothing_left")


def writes(config: str, **keys: object) -> str:
    return plan_of("scratching:Writes", **keys) + f"\nconfig = {{ {config} }}"


def test_the_report_says_how_much_scratch_was_used(run) -> None:
    report = run(b"x", toml=writes("size = 2097152", scratch="8MiB"))
    assert report.outcome == "accepted", report
    assert report.properties == {"writes.size": 8 * MIB, "writes.files": 2}
    assert 4 * MIB <= report.temporary_bytes < 5 * MIB


def test_a_file_over_the_limit_cannot_be_written(run) -> None:
    toml = writes("size = 1, start = 1048576", scratch="1MiB")
    report = run(b"x", toml=toml)
    assert (report.outcome, report.code) == ("undecided", "plugin-error")
    assert "File too large" in report.verdicts[0].detail


def test_the_limit_is_for_both_files_together(run) -> None:
    toml = writes("size = 3145728, wait = 20", scratch="4MiB")
    report = run(b"x", toml=toml)
    assert (report.outcome, report.code) == ("undecided", "plugin-scratch")


def test_without_scratch_there_are_no_files(run) -> None:
    report = run(b"x", toml=writes("size = 1"))
    assert (report.outcome, report.code) == ("undecided", "plugin-error")
    assert "scratch = " in report.verdicts[0].detail


def test_a_program_of_the_plugin_writes_to_scratch(run) -> None:
    data = bytes(range(256)) * 20_000
    report = run(
        data, toml="[import]\ndigests = []\n" + plan_of("scratching:Reverses", scratch="64MiB", programs=["cp"])
    )
    assert report.outcome == "accepted", report
    assert report.stored.size == len(data)
    assert report.temporary_bytes >= 2 * len(data)


@pytest.mark.parametrize(
    ("mebibytes", "scratch", "outcome"), [(8, "", "accepted"), (80, "", "refused"), (80, "96MiB", "accepted")]
)
def test_a_program_has_room_for_temporary_files(run, mebibytes: int, scratch: str, outcome: str) -> None:
    command = f"cat >/dev/null && head -c {mebibytes}M /dev/zero >$TMPDIR/file || exit 10"
    toml = f'[[plugin]]\nname = "a"\nuse = "exec:/bin/sh -c \'{command}\'"\nrefuse = [10]\n'
    report = run(b"x", toml=toml + (f'scratch = "{scratch}"\n' if scratch else ""))
    assert report.outcome == outcome, report


@pytest.mark.parametrize(
    "command",
    [
        "for i in 1 2 3 4; do head -c 3M /dev/zero >$TMPDIR/$i; done",
        "i=0; while [ $i -lt 6000 ]; do i=$((i+1)); : >$TMPDIR/$i; done",
    ],
    ids=["bytes", "files"],
)
def test_temporary_files_on_the_disk_are_bounded(run, command: str) -> None:
    toml = f'[[plugin]]\nname = "a"\nuse = "exec:/bin/sh -c \'{command}; sleep 60\'"\nscratch = "4MiB"\n'
    report = run(b"x", toml=toml)
    assert (report.outcome, report.code) == ("undecided", "plugin-scratch")


def test_without_a_temporary_directory_nothing_starts(run, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(DouaneError, match="TMPDIR") as error:
        run(b"x", toml=writes("size = 1", scratch="1MiB"))
    assert error.value.code == "temporary-unusable"


@pytest.mark.parametrize(("seconds", "tells", "outcome"), [(8.0, "true", "accepted"), (3600.0, "false", "undecided")])
def test_alive_prevents_a_stall(run, seconds, tells, outcome) -> None:
    config = f"config = {{ seconds = {seconds}, tells = {tells} }}"
    report = run(b"x" * 100, toml=plan_of("scratching:Waits", stall="5s") + "\n" + config)
    assert report.outcome == outcome, report
    assert report.code in (None, "plugin-stalled")


def test_a_transform_that_reads_a_file_may_decide_late(run) -> None:
    toml = plan_of("scratching:BecomesLate", "scratching:Declared")
    report = run(b"x" * (9 * MIB), toml=toml, declared={"disk_format": "vmdk"})
    assert report.properties["declared.disk_format"] == "raw", report


def test_a_transform_that_read_too_much_cannot_leave_the_image_unchanged(run) -> None:
    report = run(b"x" * (40 * MIB), toml=plan_of("scratching:UnchangedLate"))
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")
