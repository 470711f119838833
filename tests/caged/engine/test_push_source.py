"""An image that arrives piece by piece, as in a web server."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from douane.declared import DeclaredImage
from douane.engine import Inspection, PlanError, RunEnded, RunOptions, load_plan
from douane.sandbox import Tier
from douane.stream.push_source import EARLY_BYTES
from support.plans import plan_of

MIB = 1 << 20

Begin = Callable[..., Inspection]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Inspection] = []

    def start(toml: str, *, size: int | None = None, tier: Tier = Tier.STRICT, name: str = "the image") -> Inspection:
        path = tmp_path / "plan.toml"
        path.write_text(toml)
        begun.append(Inspection(load_plan(str(path)), DeclaredImage(), RunOptions(tier=tier), size=size, name=name))
        return begun[-1]

    yield start
    for each in begun:
        each.abort("the test is over")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 3 * MIB), max_size=8))
def test_the_inspected_bytes_are_the_written_bytes_however_they_are_cut(begin: Begin, lengths: list[int]) -> None:
    data = os.urandom(sum(lengths))
    inspection = begin(plan_of("good:Count"), tier=Tier.OFF)
    at = 0
    for length in lengths:
        inspection.write(data[at : at + length])
        at += length
    report = inspection.finish()
    assert report.outcome == "accepted", report
    assert (report.received.size, report.received.sha512) == (len(data), hashlib.sha512(data).hexdigest())


def test_the_name_of_an_image_is_text_in_the_report(begin: Begin) -> None:
    inspection = begin(plan_of("good:Count"), size=10, tier=Tier.OFF, name="a\x1b[2J\nforged")
    inspection.write(b"short")
    report = inspection.finish()
    assert (report.code, report.message) == ("truncated", "a [2J forged ended after 5 of the announced 10 bytes")


def test_a_refusal_ends_the_sending(begin: Begin) -> None:
    inspection = begin(plan_of("good:FirstByte"))
    sent = 0
    with pytest.raises(RunEnded):
        while True:
            inspection.write(b"\xaa" * 65536)
            sent += 65536
    assert sent <= EARLY_BYTES + 5 * MIB
    report = inspection.result()
    assert (report.outcome, report.code) == ("refused", "first-byte")
    with pytest.raises(RunEnded):
        inspection.write(b"more")


def test_an_aborted_image_is_not_accepted(begin: Begin) -> None:
    inspection = begin(plan_of("good:Count"))
    inspection.write(b"half of it")
    inspection.abort("the client hung up")
    report = inspection.result()
    assert (report.outcome, report.code) == ("undecided", "unreadable")
    assert "hung up" in report.message


@pytest.mark.parametrize(("size", "code"), [(5, "longer-than-announced"), (50, "truncated")])
def test_an_image_of_another_size_than_announced_is_not_accepted(begin: Begin, size: int, code: str) -> None:
    inspection = begin(plan_of("good:Count"), size=size)
    inspection.write(b"ten bytes.")
    report = inspection.finish()
    assert (report.outcome, report.code) == ("undecided", code)


def test_an_unusable_plan_is_raised_to_the_sender(begin: Begin) -> None:
    inspection = begin('[[plugin]]\nname = "gone"\nuse = "/nowhere/gone.py:Gone"\n')
    with pytest.raises(RunEnded):
        for _ in range(100):
            inspection.write(bytes(MIB))
    with pytest.raises(PlanError, match="gone"):
        inspection.result()


def test_an_unusable_plan_is_raised_after_a_short_image_too(begin: Begin) -> None:
    inspection = begin('[[plugin]]\nname = "gone"\nuse = "/nowhere/gone.py:Gone"\n')
    with contextlib.suppress(RunEnded):
        inspection.write(b"x")
    with pytest.raises(PlanError, match="gone"):
        inspection.finish()


def test_an_image_that_ends_before_the_plugins_start_is_inspected(begin: Begin) -> None:
    inspection = begin(plan_of("good:Count"))
    data = os.urandom(EARLY_BYTES)
    for at in range(0, len(data), 100_000):
        inspection.write(data[at : at + 100_000])
    report = inspection.finish()
    assert report.outcome == "accepted", report
    assert report.received.sha256 == hashlib.sha256(data).hexdigest()


def test_the_end_of_a_plugin_ends_the_wait_of_the_sender(begin: Begin) -> None:
    inspection = begin(plan_of("hostile:OsExit"))
    with pytest.raises(RunEnded):
        for _ in range(100):
            inspection.write(bytes(MIB))
    assert inspection.result().outcome == "undecided"


def test_no_thread_remains(begin: Begin) -> None:
    threads = threading.active_count()
    for _ in range(3):
        inspection = begin(plan_of("good:Count"), tier=Tier.OFF)
        inspection.write(b"x")
        inspection.abort("no matter")
    assert threading.active_count() == threads
