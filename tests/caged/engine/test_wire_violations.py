"""Runtimes that violate the wire: the image is never accepted."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.engine import PlanError
from douane_plugin import wire
from support.wire_programs import ACCEPT, LISTEN, begin, binary, described, frame, plan, speaker

pytestmark = pytest.mark.usefixtures("wire_c")


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([binary(wire.RELEASE, 1 << 40)], id="releases-bytes-not-sent"),
        pytest.param([binary(wire.PROGRESS, 1 << 40)], id="progress-beyond-what-was-sent"),
        pytest.param([binary(wire.RELEASE, 0)], id="releases-nothing"),
        pytest.param([frame(wire.RELEASE, b"1234567")], id="offset-of-seven-bytes"),
        pytest.param([frame(wire.CAGED, {"tier": "full"})], id="sends-the-launchers-frame"),
        pytest.param([frame(wire.READY)], id="ready-twice"),
        pytest.param([described()], id="described-twice"),
        pytest.param([frame(99)], id="unknown-type"),
        pytest.param([frame(wire.IMAGE, {})], id="frame-of-the-engine"),
        pytest.param([frame(wire.BEGIN)], id="inspector-with-output"),
        pytest.param([frame(wire.ACCEPT, b"[]")], id="answer-is-no-object"),
        pytest.param([frame(wire.ACCEPT, b"{")], id="answer-is-truncated"),
        pytest.param([frame(wire.ACCEPT, b'{"seen":"\xff"}')], id="answer-is-not-utf-8"),
        pytest.param([frame(wire.REFUSE, {"code": "A B", "message": "m"})], id="invalid-code"),
        pytest.param([frame(wire.DEFER, {"retry_after": -1, "message": "m"})], id="negative-delay"),
        pytest.param([wire.ACCEPT.to_bytes(4, "little") + b"\xff\xff\xff\xff"], id="frame-of-four-gigabytes"),
        pytest.param([ACCEPT, ACCEPT], id="two-answers"),
        pytest.param([ACCEPT, frame(wire.REFUSE, {"code": "c", "message": "m"})], id="accept-then-refuse"),
        pytest.param([ACCEPT, "hang"], id="does-not-exit"),
        pytest.param(["close", "hang"], id="closes-without-answer"),
    ],
)
def test_an_invalid_frame_is_a_failure(run, nothing_left, frames):
    report = run(b"image", toml=plan(speaker(*begin(), *frames)))
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")
    assert not report.stored.complete


def test_a_plugin_without_progress_is_stalled(run, nothing_left):
    report = run(b"image", toml=plan(speaker(*begin(), "hang"), 'stall = "200ms"'))
    assert (report.outcome, report.code) == ("undecided", "plugin-stalled")


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="no-answer"),
        pytest.param([ACCEPT[:-1]], id="half-an-answer"),
        pytest.param(["exit:0"], id="status-0"),
        pytest.param(["exit:1"], id="status-1"),
    ],
)
def test_an_end_without_an_answer_is_a_failure(run, nothing_left, frames):
    report = run(b"image", toml=plan(speaker(*begin(), *frames)))
    assert (report.outcome, report.code) == ("undecided", "plugin-died")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "it exited with status 0 while it was being loaded"),
        (["exit:7"], "it exited with status 7 while it was being loaded"),
        ([described(api=2)], "contract level 2"),
        ([frame(wire.FAILED, {"stage": "load", "kind": "Broken", "message": "no model"})], "Broken: no model"),
    ],
)
def test_an_unusable_plugin_stops_the_start(run, frames, message):
    with pytest.raises(PlanError, match="wired") as raised:
        run(b"image", toml=plan(speaker(LISTEN, *frames)))
    assert message in str(raised.value)
    assert "imported" not in str(raised.value)


@pytest.mark.parametrize(
    "description",
    [
        frame(wire.READY),
        ACCEPT,
        frame(wire.DESCRIBED, {"api": 1, "level": 1, "kind": "inspector"}),
        described(reads="head:0"),
        described(kind="transform", reads="nothing"),
        described(kind="transform", reads="head:512"),
        described(kind="other"),
    ],
    ids=lambda data: repr(data[8:60]),
)
def test_an_invalid_description_is_a_failure(run, description):
    report = run(b"image", toml=plan(speaker(LISTEN, description, frame(wire.READY), LISTEN, ACCEPT)))
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")


def test_a_file_that_is_no_program_stops_the_start(run, tmp_path):
    file = tmp_path / "broken"
    file.write_bytes(b"\x7fELF, or not")
    file.chmod(0o755)
    with pytest.raises(PlanError, match=r"it cannot be used: it exited with status 126.*broken cannot be run"):
        run(b"image", toml=plan(f"wire:{file}"))


@pytest.mark.parametrize(
    ("use", "line", "message"),
    [
        ("wire:", "", "wire: names no program"),
        ("wire:/no/such", "", "there is no program '/no/such'"),
        ("wire:'", "", "cannot be split into words"),
        ("wire:/bin/cat", f'python = "{sys.executable}"', "'python' is for Python plugins"),
        ("exec:/bin/cat", "config = { a = 1 }", "a program takes its settings as arguments"),
    ],
)
def test_contradictory_settings_are_an_error(run, use, line, message):
    with pytest.raises(PlanError, match=r"plugin 'wired'") as raised:
        run(b"image", toml=plan(use, line))
    assert message in str(raised.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=200))
def test_random_bytes_never_accept(run, noise):
    """Bytes that are no complete conversation do not accept the image."""
    report = run(b"image", toml=plan(speaker(*begin(), noise)))
    assert report.outcome == "undecided"
