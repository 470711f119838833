"""A transform that speaks the wire itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from douane.errors import SinkError
from douane_plugin import wire
from support.wire_programs import ACCEPT, LISTEN, begin, binary, frame, plan, speaker, wired

pytestmark = pytest.mark.usefixtures("wire_c")

MIB = 1 << 20
TRANSFORM = begin(kind="transform")
BECOMES = frame(wire.BECOMES, {"disk_format": "raw"})


class Kept:
    """Where what comes out of a pass is written."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, None
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def open_read(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def finish(self, size: int) -> None:
        self.size = size
        os.ftruncate(self.fd, size)

    def explain(self, error: OSError) -> SinkError:
        return SinkError(str(error))

    def content(self) -> bytes:
        """What is in the store; nothing may be there that was not let in."""
        assert self.size is not None
        return self.path.read_bytes()


@pytest.fixture
def kept(tmp_path):
    made = Kept(tmp_path / "kept")
    yield made
    os.close(made.fd)


def test_a_transform_makes_an_image(run, kept):
    said = [BECOMES, frame(wire.BEGIN), "output:6e6577", "done", frame(wire.ACCEPT, {"properties": {"n": 3}})]
    report = run(b"image", toml=plan(speaker(*TRANSFORM, *said)), sink=kept)
    assert report.outcome == "accepted"
    assert wired(report).properties == {"wired.n": 3}
    assert kept.content() == b"new"


def test_an_accept_without_output_makes_an_empty_image(run, kept):
    report = run(b"image", toml=plan(speaker(*TRANSFORM, ACCEPT)), sink=kept)
    assert wired(report).outcome == "accepted"
    assert [(verdict.plugin, verdict.bytes_total) for verdict in report.verdicts if verdict.decisive] == [
        ("format-after-wired", 0)  # which refuses it
    ]


def test_an_image_that_stays_as_it_is(run, kept):
    report = run(b"image", toml=plan(speaker(*TRANSFORM, frame(wire.UNCHANGED), ACCEPT)), sink=kept)
    assert report.outcome == "accepted"
    assert kept.content() == b"image"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([frame(wire.BEGIN), frame(wire.UNCHANGED), ACCEPT], "plugin-protocol"),
        ([frame(wire.UNCHANGED), frame(wire.BEGIN), ACCEPT], "plugin-protocol"),
        ([frame(wire.BEGIN), frame(wire.BEGIN), ACCEPT], "plugin-protocol"),
        ([frame(wire.BEGIN), "output:6e6577", "done", "exit:0"], "plugin-died"),
        ([frame(wire.BECOMES, {"disk_format": 5}), ACCEPT], "plugin-protocol"),
    ],
)
def test_a_transform_that_does_not_keep_to_the_wire_makes_no_image(run, kept, said, code):
    report = run(b"image", toml=plan(speaker(*TRANSFORM, *said)), sink=kept)
    assert (report.outcome, report.code) == ("undecided", code)
    assert not report.stored.complete


def test_a_transform_decides_before_it_has_read_four_mebibytes(run, kept):
    """With the fifth piece the beginning has gone, and nobody after it could have it any more."""
    late = [*[LISTEN] * 4, binary(wire.RELEASE, 4 * MIB), LISTEN, frame(wire.UNCHANGED), ACCEPT]
    report = run(os.urandom(20 * MIB), toml=plan(speaker(*TRANSFORM, *late)), sink=kept)
    assert (report.outcome, report.code) == ("undecided", "plugin-protocol")
    assert not report.stored.complete
