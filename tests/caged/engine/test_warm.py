"""Plugins that wait in their cages for an image."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from douane.declared import DeclaredImage
from douane.engine import DouaneError, RunOptions, WarmRun, load_plan, open_source
from douane.sandbox import Tier
from support.plans import plan_of

Make = Callable[..., WarmRun]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[WarmRun] = []

    def warm(toml: str, tier: Tier = Tier.STRICT) -> WarmRun:
        path = tmp_path / "plan.toml"
        path.write_text(toml)
        made.append(WarmRun(load_plan(str(path)), RunOptions(tier=tier)))
        return made[-1]

    yield warm
    for each in made:
        each.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(3 << 20))
    return path


@pytest.mark.parametrize("tier", [Tier.STRICT, Tier.FULL])
def test_a_plugin_that_waited_sees_its_image_and_what_is_declared_of_it(make: Make, image: Path, tier: Tier) -> None:
    warm = make(plan_of("good:Count", "good:Declared"), tier)
    assert warm.is_usable()
    source = open_source(str(image))
    report = warm.inspect(source, DeclaredImage(name="late", properties={"a": "b"}))
    assert report.outcome == "accepted", report
    assert report.received.sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    assert report.verdicts[0].bytes_total == 3 << 20
    assert report.properties["declared.name"] == "late"


def test_it_is_for_one_image(make: Make, image: Path) -> None:
    warm = make(plan_of("good:Count"))
    assert warm.inspect(open_source(str(image)), DeclaredImage()).outcome == "accepted"
    assert not warm.is_usable()
    with pytest.raises(DouaneError):
        warm.inspect(open_source(str(image)), DeclaredImage())


def test_one_whose_plugin_has_died_meanwhile_is_not_used(make: Make, image: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    warm = make(plan_of("good:Count"))
    started = [each for each in psutil.Process().children(recursive=True) if each not in before]
    assert started
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while warm.is_usable():
        assert time.monotonic() < end, "its death is not seen"
    assert warm.inspect(open_source(str(image)), DeclaredImage()).outcome == "undecided"


def test_closing_one_that_waits_ends_its_plugins(make: Make) -> None:
    before = set(psutil.Process().children(recursive=True))
    warm = make(plan_of("good:Count"))
    started = [each for each in psutil.Process().children(recursive=True) if each not in before]
    warm.close()
    assert started
    assert not [each for each in started if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
