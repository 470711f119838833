"""An image that is handed over piece by piece, as a web server gets it."""

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

    def start(toml: str, *, size: int | None = None, tier: Tier = Tier.STRICT) -> Inspection:
        path = tmp_path / "plan.toml"
        path.write_text(toml)
        begun.append(Inspection(load_plan(str(path)), DeclaredImage(), RunOptions(tier=tier), size=size))
        return begun[-1]

    yield start
    for each in begun:
        each.abort("the test is over")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 3 * MIB), max_size=8))
def test_what_is_handed_over_is_what_is_inspected_however_it_is_cut(begin: Begin, lengths: list[int]) -> None:
    data = os.urandom(sum(lengths))
    inspection = begin(plan_of("good:Count"), tier=Tier.OFF)
    at = 0
    for length in lengths:
        inspection.write(data[at : at + length])
        at += length
    report = inspection.finish()
    assert report.outcome == "accepted", report
    assert (report.received.size, report.received.sha512) == (len(data), hashlib.sha512(data).hexdigest())


def test_the_sender_hears_of_a_refusal_and_sends_no_more(begin: Begin) -> None:
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


def test_an_image_of_which_the_sender_is_gone_is_not_accepted(begin: Begin) -> None:
    inspection = begin(plan_of("good:Count"))
    inspection.write(b"half of it")
    inspection.abort("the client hung up")
    report = inspection.result()
    assert (report.outcome, report.code) == ("undecided", "unreadable")
    assert "hung up" in report.message


@pytest.mark.parametrize(("size", "code"), [(5, "longer-than-announced"), (50, "truncated")])
def test_an_image_of_another_size_than_was_announced_is_not_accepted(begin: Begin, size: int, code: str) -> None:
    inspection = begin(plan_of("good:Count"), size=size)
    inspection.write(b"ten bytes.")
    report = inspection.finish()
    assert (report.outcome, report.code) == ("undecided", code)


def test_a_plan_that_cannot_be_used_is_told_to_whoever_sends(begin: Begin) -> None:
    inspection = begin('[[plugin]]\nname = "gone"\nuse = "/nowhere/gone.py:Gone"\n')
    with pytest.raises(RunEnded):
        for _ in range(100):
            inspection.write(bytes(MIB))
    with pytest.raises(PlanError, match="gone"):
        inspection.result()


def test_a_plan_that_cannot_be_used_is_told_also_of_an_image_that_is_over_by_then(begin: Begin) -> None:
    inspection = begin('[[plugin]]\nname = "gone"\nuse = "/nowhere/gone.py:Gone"\n')
    with contextlib.suppress(RunEnded):
        inspection.write(b"x")
    with pytest.raises(PlanError, match="gone"):
        inspection.finish()


def test_an_image_that_is_whole_before_the_plugins_have_started_is_inspected(begin: Begin) -> None:
    inspection = begin(plan_of("good:Count"))
    data = os.urandom(EARLY_BYTES)
    for at in range(0, len(data), 100_000):
        inspection.write(data[at : at + 100_000])
    report = inspection.finish()
    assert report.outcome == "accepted", report
    assert report.received.sha256 == hashlib.sha256(data).hexdigest()


def test_a_plugin_that_dies_ends_the_wait_of_whoever_sends(begin: Begin) -> None:
    inspection = begin(plan_of("hostile:OsExit"))
    with pytest.raises(RunEnded):
        for _ in range(100):
            inspection.write(bytes(MIB))
    assert inspection.result().outcome == "undecided"


def test_nothing_runs_on_when_all_is_over(begin: Begin) -> None:
    before = threading.active_count()
    for _ in range(3):
        inspection = begin(plan_of("good:Count"), tier=Tier.OFF)
        inspection.write(b"x")
        inspection.abort("no matter")
    assert threading.active_count() == before
