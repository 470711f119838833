"""Whatever a plugin process does, every clock runs until it is gone, and nothing that it sent outlives it."""

from __future__ import annotations

import json
import logging
import os
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane_plugin import wire
from support.sizes import ALL
from support.wire_programs import ACCEPT, binary, frame

PLUGIN = f"{Path(__file__).parent / 'plugins' / 'scripted.py'}:Scripted"
MiB = 1 << 20
LISTEN = ["listen", {"data": wire.DATA, "progress": wire.PROGRESS}]
HANG = ["sleep", 3600]
REFUSE = frame(wire.REFUSE, {"code": "no", "message": "no"})


def plan(*steps, **keys):
    """TOML of the plugin with a script of these steps."""
    lines = {"stall": '"500ms"', "timeout": '"1500ms"', "memory": '"128MiB"', **keys}
    script = json.dumps(json.dumps(list(steps)))
    return "\n".join(
        [
            "[import]",
            "digests = []",
            "[[plugin]]",
            'name = "scripted"',
            f"use = {json.dumps(PLUGIN)}",
            f"config = {{ script = {script} }}",
            *(f"{key} = {value}" for key, value in lines.items()),
        ]
    )


def send(data: bytes) -> list:
    """The step that sends these bytes."""
    return ["send", data.hex()]


def nested(depth: int) -> str:
    """JSON as deep as that."""
    return "[" * depth + "]" * depth


@pytest.fixture
def image(tmp_path):
    """A sparse image longer than the ring."""
    path = tmp_path / "image.raw"
    with path.open("wb") as file:
        for offset in range(0, 24 * MiB, MiB):
            file.seek(offset)
            file.write(os.urandom(4096))
        file.truncate(24 * MiB)
    return str(path)


@pytest.mark.parametrize("mode", ["enforce", "warn"])
def test_a_plugin_that_reports_progress_and_releases_nothing_is_stalled(run, nothing_left, image, mode):
    report = run(image, toml=plan(LISTEN, LISTEN, HANG, mode=f'"{mode}"'))
    assert report.verdicts[0].outcome == "timeout"
    assert report.outcome == ("undecided" if mode == "enforce" else "accepted")


def test_memory_is_measured_after_the_answer(run, nothing_left):
    report = run(b"image", toml=plan(send(ACCEPT), ["protect", 512 * MiB], HANG))
    assert (report.outcome, report.code) == ("undecided", "plugin-memory")


def test_descriptors_that_a_plugin_sends_are_not_received(run, nothing_left):
    report = run(b"image", toml=plan(["descriptors", 50], HANG))
    assert (report.outcome, report.code) == ("undecided", "plugin-stalled")


@pytest.mark.parametrize(
    "payload",
    [
        f'{{"code": {nested(800)}, "message": "m"}}',
        f'{{"code": "c", "message": {nested(800)}}}',
        f'{{"code": "c", "message": "m", "seen": {nested(800)}}}',
        f'{{"code": "c", "message": "m", "more": {nested(100_000)}}}',
    ],
    ids=["code", "message", "seen", "unknown"],
)
@pytest.mark.parametrize("kind", [wire.REFUSE, wire.WARN, wire.INCOMPLETE])
def test_deep_json_is_a_failure_of_the_plugin(run, nothing_left, kind, payload):
    report = run(b"image", toml=plan(send(frame(kind, payload.encode())), HANG, mode='"audit"'))
    assert report.outcome == "accepted"
    assert report.verdicts[0].outcome in ("failed", "refused", "incomplete", "timeout")


def test_a_position_beyond_every_image_is_bounded_in_the_report(run, nothing_left):
    payload = f'{{"code": "c", "message": "m", "seen": {10**400}}}'.encode()
    report = run(b"image", toml=plan(send(frame(wire.REFUSE, payload)), HANG))
    assert json.dumps(report.to_json())
    assert report.outcome == "refused"
    assert report.verdicts[0].bytes_seen <= len(b"image")


def test_log_levels_are_bounded_and_the_log_is_as_long_as_promised(run, nothing_left):
    lines = [send(frame(wire.LOG, {"level": 10**level, "message": "x" * 4000})) for level in range(300)]
    log: list[tuple[str, int, str]] = []
    run(b"image", toml=plan(*lines, HANG), log=log)
    assert all(0 <= level <= logging.CRITICAL for _, level, _ in log)
    assert sum(len(text) for _, _, text in log) <= 300 * 1024


@pytest.mark.parametrize(
    "payload",
    [{"properties": 0}, {"properties": False}, {"properties": ""}, {"proposed": []}, {"properties": [1]}],
    ids=str,
)
def test_properties_of_another_type_are_not_taken_for_none(run, nothing_left, payload):
    report = run(b"image", toml=plan(send(frame(wire.ACCEPT, payload))))
    assert report.outcome == "undecided"


@pytest.mark.parametrize("kind", [wire.ACCEPT, wire.REFUSE, wire.INCOMPLETE, wire.DEFER])
@pytest.mark.parametrize(
    "documents",
    [
        [],
        0,
        {"Upper": 1},
        {"deep": json.loads("[" * 40 + "]" * 40)},
        {"wide": 1 << 64},
        {"nul": ["\0"]},
        {"half": "\ud800"},
        {"long": "x" * (257 << 10)},
        {f"number_{number}": 1 for number in range(17)},
    ],
    ids=lambda documents: str(documents)[:12],
)
def test_documents_of_another_form_are_not_taken(run, nothing_left, kind, documents):
    answer = {"code": "bad", "message": "it is bad", "retry_after": 1, "documents": documents}
    report = run(b"image", toml=plan(send(frame(kind, answer))))
    assert report.outcome == "undecided"
    assert report.verdicts[0].outcome == "failed"
    assert report.verdicts[0].documents == {}


def test_a_part_of_a_frame_after_the_answer_is_a_violation(run, nothing_left):
    report = run(b"image", toml=plan(send(ACCEPT + REFUSE[:6])))
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")


SCREEN = "a\x1b[2J\x9b2J\r\nforged\u202egnp"


def is_text(value: str) -> bool:
    return not any(ord(letter) < 32 or 127 <= ord(letter) < 160 or letter == "\u202e" for letter in value)


def test_properties_in_the_report_are_text(run, nothing_left):
    accept = frame(wire.ACCEPT, {"properties": {"a": SCREEN}, "proposed": {"os_a": SCREEN}})
    report = run(b"image", toml=plan(send(accept), may_set='["os_*"]'))
    assert is_text(report.properties["scripted.a"])
    assert is_text(report.proposed["os_a"].value)
    assert report.properties["scripted.a"].startswith("a [2J")


@pytest.mark.parametrize(
    "answer",
    [
        frame(wire.FAILED, {"stage": "run", "kind": SCREEN, "message": SCREEN, "trace": f"  in\n{SCREEN}" * 10_000}),
        frame(wire.ACCEPT, {"properties": {SCREEN * 1000: 1}}),
        frame(wire.ACCEPT, {"properties": {"a": [SCREEN]}}),
        frame(wire.REFUSE, {"code": SCREEN, "message": SCREEN}),
        frame(wire.WARN, {"code": "c", "message": {SCREEN: SCREEN}}),
        frame(wire.REFUSE, {"code": "c", "message": SCREEN * 1000}),
    ],
)
def test_whatever_is_in_the_report_of_a_plugin_is_short_text(run, nothing_left, answer):
    verdict = run(b"image", toml=plan(send(answer), HANG)).verdicts[0]
    texts = [verdict.code, verdict.message, *(verdict.detail or "").splitlines()]
    assert all(is_text(text) for text in texts)
    assert sum(map(len, texts)) <= 20_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KINDS = st.sampled_from(sorted(wire.TYPES))
FRAMES = st.one_of(
    st.builds(lambda kind, value: frame(kind, json.dumps(value).encode()), KINDS, JSON),
    st.builds(binary, KINDS, st.integers(0, (1 << 64) - 1)),
    st.builds(frame, KINDS, st.binary(max_size=40)),
    st.builds(
        lambda kind, code, message, seen: frame(kind, {"code": code, "message": message, "seen": seen}),
        st.sampled_from([wire.REFUSE, wire.WARN, wire.INCOMPLETE, wire.FAILED, wire.LOG]),
        st.text(max_size=8) | JSON,
        st.text(max_size=50) | JSON,
        st.integers() | JSON,
    ),
    st.binary(max_size=40),
)
STEPS = st.lists(
    st.one_of(
        FRAMES.map(send),
        st.just(LISTEN),
        st.integers(1, 5).map(lambda count: ["descriptors", count]),
        st.sampled_from([0.01, 0.05, 0.2]).map(lambda seconds: ["sleep", seconds]),
        st.just(["close", None]),
        st.just(["allocate", 64 * MiB]),
    ),
    max_size=8,
)


@settings(max_examples=40 if ALL else 15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, hangs=st.booleans())
def test_any_conversation_ends_in_order(run, nothing_left, steps, hangs):
    """The run ends, keeps no descriptor and little memory; only an ACCEPT that was sent can accept."""
    descriptors, memory = len(os.listdir("/proc/self/fd")), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = run(os.urandom(8192), toml=plan(*steps, *([HANG] if hangs else [])))
    assert json.dumps(report.to_json())
    accepts = any(verb == "send" and f"{wire.ACCEPT:02x}000000" in argument for verb, argument in steps if argument)
    assert report.outcome != "accepted" or accepts
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < memory + 64 * 1024
