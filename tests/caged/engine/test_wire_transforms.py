"""A transform that speaks the wire itself."""

from __future__ import annotations

import os

import pytest

from douane_plugin import wire
from support.sinks import KeptFile
from support.wire_programs import ACCEPT, LISTEN, begin, binary, frame, plan, speaker, wired

pytestmark = pytest.mark.usefixtures("wire_c")

MIB = 1 << 20
TRANSFORM = begin(kind="transform")
BECOMES = frame(wire.BECOMES, {"disk_format": "raw"})


@pytest.fixture
def sink(tmp_path):
    sink = KeptFile(tmp_path / "kept")
    yield sink
    sink.close()


def test_a_transform_makes_an_image(run, sink):
    frames = [BECOMES, frame(wire.BEGIN), "output:6e6577", "done", frame(wire.ACCEPT, {"properties": {"n": 3}})]
    report = run(b"image", toml=plan(speaker(*TRANSFORM, *frames)), sink=sink)
    assert report.outcome == "accepted"
    assert wired(report).properties == {"wired.n": 3}
    assert sink.content() == b"new"


def test_an_accept_without_output_makes_an_empty_image(run, sink):
    report = run(b"image", toml=plan(speaker(*TRANSFORM, ACCEPT)), sink=sink)
    assert wired(report).outcome == "accepted"
    assert [(verdict.plugin, verdict.bytes_total) for verdict in report.verdicts if verdict.decisive] == [
        ("format-after-wired", 0)  # which refuses it
    ]


def test_an_unchanged_image(run, sink):
    report = run(b"image", toml=plan(speaker(*TRANSFORM, frame(wire.UNCHANGED), ACCEPT)), sink=sink)
    assert report.outcome == "accepted"
    assert sink.content() == b"image"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(wire.BEGIN), frame(wire.UNCHANGED), ACCEPT], "plugin-protocol"),
        ([frame(wire.UNCHANGED), frame(wire.BEGIN), ACCEPT], "plugin-protocol"),
        ([frame(wire.BEGIN), frame(wire.BEGIN), ACCEPT], "plugin-protocol"),
        ([frame(wire.BEGIN), "output:6e6577", "done", "exit:0"], "plugin-died"),
        ([frame(wire.BECOMES, {"disk_format": 5}), ACCEPT], "plugin-protocol"),
        ([frame(wire.BECOMES, {"disk_format": "x" * 50_000}), ACCEPT], "plugin-protocol"),
        ([frame(wire.BECOMES, {"container_format": "\x1b[2J\nforged"}), ACCEPT], "plugin-protocol"),
    ],
)
def test_a_transform_that_violates_the_wire_makes_no_image(run, sink, frames, code):
    report = run(b"image", toml=plan(speaker(*TRANSFORM, *frames)), sink=sink)
    assert (report.outcome, report.code) == ("undecided", code)
    assert not report.stored.complete


def test_a_transform_that_decides_after_four_mebibytes_is_a_failure(run, sink):
    """The fifth chunk overwrites the beginning, which the stages after it would need."""
    late = [*[LISTEN] * 4, binary(wire.RELEASE, 4 * MIB), LISTEN, frame(wire.UNCHANGED), ACCEPT]
    report = run(os.urandom(20 * MIB), toml=plan(speaker(*TRANSFORM, *late)), sink=sink)
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")
    assert not report.stored.complete
