"""A runtime that does not keep to the wire lets nothing in."""

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
    "said",
    [
        pytest.param([binary(wire.RELEASE, 1 << 40)], id="lets-go-of-what-was-not-sent"),
        pytest.param([binary(wire.PROGRESS, 1 << 40)], id="has-come-further-than-it-was-sent"),
        pytest.param([binary(wire.RELEASE, 0)], id="lets-go-of-nothing"),
        pytest.param([frame(wire.RELEASE, b"1234567")], id="a-number-of-seven-bytes"),
        pytest.param([frame(wire.CAGED, {"tier": "full"})], id="says-the-launchers-words"),
        pytest.param([frame(wire.READY)], id="is-ready-twice"),
        pytest.param([described()], id="describes-itself-twice"),
        pytest.param([frame(99)], id="a-type-that-does-not-exist"),
        pytest.param([frame(wire.IMAGE, {})], id="the-engines-own-frame"),
        pytest.param([frame(wire.BEGIN)], id="an-inspector-with-output"),
        pytest.param([frame(wire.ACCEPT, b"[]")], id="a-verdict-that-is-no-object"),
        pytest.param([frame(wire.ACCEPT, b"{")], id="a-verdict-that-is-broken-off"),
        pytest.param([frame(wire.ACCEPT, b'{"seen":"\xff"}')], id="a-verdict-that-is-not-utf-8"),
        pytest.param([frame(wire.REFUSE, {"code": "A B", "message": "m"})], id="a-code-that-is-none"),
        pytest.param([frame(wire.DEFER, {"retry_after": -1, "message": "m"})], id="deferred-into-the-past"),
        pytest.param([wire.ACCEPT.to_bytes(4, "little") + b"\xff\xff\xff\xff"], id="a-frame-of-four-gigabytes"),
        pytest.param([ACCEPT, ACCEPT], id="two-verdicts"),
        pytest.param([ACCEPT, frame(wire.REFUSE, {"code": "c", "message": "m"})], id="changes-its-mind"),
        pytest.param([ACCEPT, "hang"], id="does-not-end"),
        pytest.param(["close", "hang"], id="closes-without-a-verdict"),
    ],
)
def test_a_frame_that_is_wrong_lets_nothing_in(run, nothing_left, said):
    report = run(b"image", toml=plan(speaker(*begin(), *said)))
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")
    assert not report.stored.complete


def test_one_that_does_not_tell_how_far_it_has_come_is_late(run, nothing_left):
    report = run(b"image", toml=plan(speaker(*begin(), "hang"), 'stall = "200ms"'))
    assert (report.outcome, report.code) == ("undecided", "plugin-stalled")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([], id="no-verdict"),
        pytest.param([ACCEPT[:-1]], id="half-a-verdict"),
        pytest.param(["exit:0"], id="status-0"),
        pytest.param(["exit:1"], id="status-1"),
    ],
)
def test_an_end_without_a_verdict_lets_nothing_in(run, nothing_left, said):
    report = run(b"image", toml=plan(speaker(*begin(), *said)))
    assert (report.outcome, report.code) == ("undecided", "plugin-died")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "it exited with status 0 while it was being loaded"),
        (["exit:7"], "it exited with status 7 while it was being loaded"),
        ([described(api=2)], "contract level 2"),
        ([frame(wire.FAILED, {"stage": "load", "kind": "Broken", "message": "no model"})], "Broken: no model"),
    ],
)
def test_one_that_cannot_be_used_stops_the_start(run, said, told):
    with pytest.raises(PlanError, match="wired") as raised:
        run(b"image", toml=plan(speaker(LISTEN, *said)))
    assert told in str(raised.value)
    assert "imported" not in str(raised.value)


@pytest.mark.parametrize(
    "said",
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
def test_one_that_describes_itself_wrongly_gets_no_image(run, said):
    report = run(b"image", toml=plan(speaker(LISTEN, said, frame(wire.READY), LISTEN, ACCEPT)))
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")


def test_a_program_that_is_none_stops_the_start(run, tmp_path):
    file = tmp_path / "broken"
    file.write_bytes(b"\x7fELF, or not")
    file.chmod(0o755)
    with pytest.raises(PlanError, match=r"it cannot be used: it exited with status 126.*broken cannot be run"):
        run(b"image", toml=plan(f"wire:{file}"))


@pytest.mark.parametrize(
    ("use", "line", "said"),
    [
        ("wire:", "", "wire: names no program"),
        ("wire:/no/such", "", "there is no program '/no/such'"),
        ("wire:'", "", "cannot be split into words"),
        ("wire:/bin/cat", f'python = "{sys.executable}"', "python is for Python plugins"),
        ("exec:/bin/cat", 'scratch = "1MiB"', "a program takes its settings as arguments"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused(run, use, line, said):
    with pytest.raises(PlanError, match=r"plugin 'wired'") as raised:
        run(b"image", toml=plan(use, line))
    assert said in str(raised.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=200))
def test_noise_is_no_accept(run, noise):
    """Whatever a runtime says that is not a whole conversation, it does not let the image in."""
    report = run(b"image", toml=plan(speaker(*begin(), noise)))
    assert report.outcome == "undecided"
