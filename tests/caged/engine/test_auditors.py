"""An auditor records. Whatever happens to it, the import goes on as if it were not there."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

LATE = Path(__file__).parent / "plugins" / "late.py"
pytestmark = pytest.mark.usefixtures("nothing_left")
MiB = 1 << 20


def plan(*plugins: str) -> str:
    return "".join(f"[[plugin]]\n{text}\n" for text in plugins)


def use(name: str, cls: str, *more: str) -> str:
    return "\n".join([f'name = "{name}"', f'use = "{LATE}:{cls}"', *more])


def verdict(report, name):
    return next(one for one in report.verdicts if one.plugin == name)


@pytest.mark.parametrize("kind", ["Late", "LateRandom"])
def test_an_auditor_that_does_not_get_ready_is_left_behind(run, kind) -> None:
    report = run(
        b"x" * MiB, toml=plan(use("slow", "Slow", "config = { seconds = 0.0 }"), use("a", kind, 'mode = "audit"'))
    )
    assert report.outcome == "accepted"
    assert (verdict(report, "a").outcome, verdict(report, "a").code) == ("incomplete", "auditor-too-slow")


@pytest.mark.parametrize("kind", ["Late", "LateRandom"])
def test_an_auditor_that_gets_ready_in_time_sees_all_of_it(run, kind) -> None:
    toml = plan(
        use("slow", "Slow", "config = { seconds = 6.0 }"),
        use("a", kind, 'mode = "audit"', "config = { seconds = 1.5 }"),
    )
    report = run(os.urandom(3 * MiB), toml=toml)
    assert report.outcome == "accepted"
    assert verdict(report, "a").properties == {"a.seen": 3 * MiB}


def test_an_auditor_that_comes_after_the_beginning_has_left_the_ring_is_left_behind(run) -> None:
    toml = plan(use("slow", "Slow", "config = { seconds = 0.0 }"), use("a", "Late", 'mode = "audit"'))
    report = run(os.urandom(200 * MiB), toml=toml)
    assert report.outcome == "accepted"
    assert report.received.size == 200 * MiB
    assert verdict(report, "a").code == "auditor-too-slow"


@pytest.mark.parametrize(("mode", "outcome"), [("audit", "accepted"), ("enforce", "undecided")])
def test_a_full_disk_for_those_who_read_at_random_matters_as_much_as_they_do(run, monkeypatch, mode, outcome) -> None:
    def full(_fd, _data, _at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    report = run(
        os.urandom(3 * MiB),
        toml=plan(use("slow", "Slow", "config = { seconds = 0.0 }"), use("r", "AtRandom", f'mode = "{mode}"')),
    )
    assert report.outcome == outcome
    if mode == "audit":
        assert (verdict(report, "r").outcome, verdict(report, "r").code) == ("failed", "temporary-full")
    else:
        assert report.code == "temporary-full"


def test_a_log_that_nobody_takes_holds_up_nothing(run) -> None:
    free = threading.Event()

    class Stuck(list):
        def append(self, line) -> None:
            free.wait()
            super().append(line)

    lines = Stuck()
    try:
        report = run(b"x", toml=plan(use("t", "Talks")), log=lines)
        assert report.outcome == "accepted"
        assert lines == []
    finally:
        free.set()
