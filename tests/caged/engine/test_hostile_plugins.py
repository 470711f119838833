"""Faulty and hostile plugins: never an accept, never a hang, no leftovers, and a message with the plugin's name."""

from __future__ import annotations

import os

import pytest

from support.plans import plan_of

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1 << 20
IMAGE = os.urandom(1 << 16) * 80  # 5 MiB: more than what is read ahead of the slowest

FAULTS = {
    "Raises": ("failed", "plugin-error"),
    "SysExit": ("failed", "plugin-error"),
    "OsExit": ("failed", "plugin-died"),
    "KillsItself": ("failed", None),
    "Aborts": ("failed", "plugin-died"),
    "Loops": ("timeout", "plugin-stalled"),
    "Sleeps": ("timeout", "plugin-stalled"),
    "Allocates": ("failed", "plugin-memory"),
    "FillsItsMemory": ("failed", "plugin-memory"),
    "AllocatesShared": ("failed", None),
    "HidesItsMemory": ("failed", "plugin-memory"),
    "Forks": ("failed", "plugin-error"),
    "Threads": ("failed", "plugin-error"),
    "FloodsLog": ("timeout", None),
    "FloodsOutput": ("timeout", None),
    "FloodsWarnings": ("failed", "plugin-protocol"),
    "WrongType": ("failed", "plugin-error"),
    "WrongValue": ("failed", "plugin-error"),
    "OutsideNamespace": ("failed", "plugin-properties"),
    "TooManyProperties": ("failed", "plugin-properties"),
    "TooLargeProperty": ("failed", "plugin-properties"),
    "HugeAnswer": ("failed", "plugin-protocol"),
    "ClosesChannel": ("failed", "plugin-protocol"),
    "WritesRubbish": ("failed", "plugin-protocol"),
    "AnswersTwice": ("failed", "plugin-protocol"),
    "AcceptsAndRefuses": ("failed", "plugin-protocol"),
    "AcceptsAndStays": ("failed", "plugin-protocol"),
    "BecomesTransformLater": ("failed", "plugin-protocol"),
    "LetsGoOfTheFuture": ("failed", "plugin-protocol"),
    "KeepsChunks": ("failed", "plugin-error"),
    "KeepsSlices": ("failed", "plugin-error"),
    "DiesInConstructor": ("failed", "plugin-error"),
    "ExitsInConstructor": ("failed", "plugin-died"),
    "RejectsInConstructor": ("failed", "plugin-error"),
    "HalfATransform": ("failed", "plugin-died"),
    "RaisingTransform": ("failed", "plugin-error"),
    "YieldsText": ("failed", "plugin-error"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_plugin_never_accepts(run, name):
    log: list[tuple[str, int, str]] = []
    outcome, code = FAULTS[name]
    clocks = {"stall": "2s", "timeout": "4s"} if outcome == "timeout" else {"stall": "5m", "timeout": "10m"}
    report = run(IMAGE, toml=plan_of(f"hostile:{name}", memory="128MiB", **clocks), log=log)
    [verdict] = [verdict for verdict in report.verdicts if verdict.plugin == name.lower()]
    assert report.outcome == "undecided"
    assert verdict.outcome == outcome
    assert code is None or verdict.code == code, verdict
    assert name.lower() in report.message
    assert report.message[-1] not in ".:;"
    assert "secret" not in report.message
    assert not report.stored.complete
    assert sum(len(text) for _, _, text in log) < 1 << 19


@pytest.mark.parametrize(
    "description",
    [
        b"{}",
        b"[" * 100_000,
        b'{"api": 1, "kind": "inspector", "reads": "head:' + b"9" * 10_000 + b'", "level": 1}',
        b'{"api": 1, "kind": "inspector", "reads": "stream", "level": 1, "parameters": [{"name": 3}]}',
    ],
    ids=["empty", "deep", "endless", "odd"],
)
def test_a_forged_description_is_a_violation(run, tmp_path, description):
    (tmp_path / "forger.py").write_text(
        "import os\n"
        "from douane_plugin import Inspector\n"
        f"payload = {description!r}\n"
        "frame = (2).to_bytes(4, 'little') + len(payload).to_bytes(4, 'little') + payload\n"
        "for fd in range(3, 1024):\n"
        "    try:\n"
        "        os.fstat(fd), os.write(fd, frame)\n"
        "    except OSError:\n"
        "        pass\n"
        "class Forger(Inspector):\n"
        "    def inspect(self, image): pass\n"
    )
    report = run(IMAGE, [f"{tmp_path}/forger.py:Forger"])
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")


def test_progress_does_not_extend_the_total_time(run):
    report = run(os.urandom(1 << 16) * 320, toml=plan_of("hostile:ReadsSlowly", stall="20s", timeout="2s"))
    assert [verdict.code for verdict in report.verdicts] == ["plugin-timeout"]


def test_a_plugin_that_does_not_start_is_a_timeout(run):
    report = run(IMAGE, toml=plan_of("hostile:SleepsAtStart", start="1s"))
    assert (report.outcome, report.code) == ("undecided", "plugin-slow-start")
    assert report.received.size == 0


def test_a_bomb_is_refused(run):
    report = run(IMAGE, toml=plan_of("hostile:Bomb", max_output="80MiB"))
    assert (report.outcome, report.code) == ("refused", "transform-limit")
    report = run(IMAGE, toml=plan_of("hostile:Bomb", max_ratio=20, **{"config.of": "x"}))
    assert (report.outcome, report.code) == ("refused", "transform-limit")
    assert "max_ratio" in report.message


@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB + 5, 3 * MIB, 8 * MIB])
def test_too_much_output_is_refused_after_the_answer_too(run, size):
    """An earlier engine waited until the deadline: the accept had been counted already."""
    report = run(b"abc" * (size // 3), toml=plan_of("good:Upper", max_output="1MiB"))
    assert (report.outcome, report.code) == ("refused", "transform-limit")
    assert report.verdicts[0].outcome == "refused"


def test_zeros_count_for_max_output_only(run):
    """A nearly empty disk is honest: its zeros are bounded by max_output, what is in it by max_ratio."""
    report = run(IMAGE, toml=plan_of("hostile:Bomb", max_ratio=20, max_output="600MiB"))
    assert (report.outcome, report.code) == ("refused", "transform-limit")
    assert "max_output" in report.message


@pytest.mark.parametrize("name", ["Raises", "OsExit", "Sleeps", "WritesRubbish"])
@pytest.mark.parametrize("mode", ["warn", "audit"])
def test_a_fault_of_an_advisory_plugin_changes_nothing(run, name, mode):
    report = run(IMAGE, toml=plan_of("hostile:Accepts") + "\n" + plan_of(f"hostile:{name}", mode=mode, stall="1s"))
    assert report.outcome == "accepted"
    assert report.verdicts[0].outcome == "accepted"
    assert report.verdicts[1].outcome in ("failed", "timeout", "incomplete")
    assert report.received.md5 == report.stored.md5


def test_a_fault_does_not_hide_the_refusal_of_another_plugin(run, tmp_path):
    (tmp_path / "no.py").write_text(
        "from douane_plugin import Inspector, Reject\n"
        "class No(Inspector):\n"
        "    def inspect(self, image):\n"
        "        raise Reject('no', 'this image is not wanted')\n"
    )
    report = run(IMAGE, [f"{tmp_path}/no.py:No"], toml=plan_of("hostile:Raises", on_error="warn"))
    assert (report.outcome, report.code) == ("refused", "no")
