"""Auditors only record: no failure or delay of an auditor changes the import."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

LATE = Path(__file__).parent / "plugins" / "late.py"
pytestmark = pytest.mark.usefixtures("nothing_left")
MiB = 1 << 20
NEVER_READY = ('mode = "audit"', 'start = "10m"')


def plan(*plugins: str) -> str:
    return "".join(f"[[plugin]]\n{text}\n" for text in plugins)


def use(name: str, cls: str, *more: str) -> str:
    return "\n".join([f'name = "{name}"', f'use = "{LATE}:{cls}"', *more])


def verdict(report, name):
    return next(verdict for verdict in report.verdicts if verdict.plugin == name)


@pytest.mark.parametrize("kind", ["Late", "LateRandom"])
def test_an_auditor_that_is_not_ready_in_time_is_dropped(run, kind) -> None:
    report = run(b"x" * MiB, toml=plan(use("reads", "Reads"), use("a", kind, *NEVER_READY)))
    assert report.outcome == "accepted"
    assert (verdict(report, "a").outcome, verdict(report, "a").code) == ("incomplete", "auditor-too-slow")


@pytest.mark.parametrize("kind", ["Late", "LateRandom"])
def test_a_late_auditor_sees_the_whole_image(run, kind, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "gate"))
        server.listen()

        class OpensTheGate(list):
            def append(self, line) -> None:
                server.accept()[0].close()

        toml = plan(
            use("gated", "Gated", 'stall = "10m"', f'grants = {{ gate = "unix:{tmp_path}/gate" }}'),
            use("a", kind, 'mode = "audit"', 'start = "10m"', "config = { seconds = 1.5 }"),
        )
        report = run(os.urandom(3 * MiB), toml=toml, log=OpensTheGate())
    assert report.outcome == "accepted"
    assert verdict(report, "a").properties == {"a.seen": 3 * MiB}


def test_an_auditor_that_is_ready_after_the_beginning_left_the_ring_is_dropped(run) -> None:
    toml = plan(use("reads", "Reads"), use("a", "Late", *NEVER_READY))
    report = run(os.urandom(200 * MiB), toml=toml)
    assert report.outcome == "accepted"
    assert report.received.size == 200 * MiB
    assert verdict(report, "a").code == "auditor-too-slow"


@pytest.mark.parametrize(("mode", "outcome"), [("audit", "accepted"), ("enforce", "undecided")])
def test_a_full_disk_for_the_file_of_an_auditor_decides_nothing(run, monkeypatch, mode, outcome) -> None:
    def full(_fd, _data, _at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    report = run(
        os.urandom(3 * MiB),
        toml=plan(use("reads", "Reads"), use("r", "AtRandom", f'mode = "{mode}"')),
    )
    assert report.outcome == outcome
    if mode == "audit":
        assert (verdict(report, "r").outcome, verdict(report, "r").code) == ("failed", "temporary-full")
    else:
        assert report.code == "temporary-full"


def test_a_blocked_log_does_not_block_the_run(run) -> None:
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
