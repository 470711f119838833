"""Plugin processes that wait for an image."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from douane.declared import DeclaredImage
from douane.engine import DouaneError, RunOptions, WarmRun, load_plan, open_source
from douane.sandbox import Tier
from support.plans import plan_of
from support.processes import lives
from support.waiting import until

Make = Callable[..., WarmRun]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    runs: list[WarmRun] = []

    def warm(toml: str, tier: Tier = Tier.STRICT) -> WarmRun:
        path = tmp_path / "plan.toml"
        path.write_text(toml)
        runs.append(WarmRun(load_plan(str(path)), RunOptions(tier=tier)))
        return runs[-1]

    yield warm
    for run in runs:
        run.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(3 << 20))
    return path


@pytest.mark.parametrize("tier", [Tier.STRICT, Tier.FULL])
def test_a_waiting_plugin_gets_its_image_and_what_is_declared(make: Make, image: Path, tier: Tier) -> None:
    warm = make(plan_of("good:Count", "good:Declared"), tier)
    assert warm.is_usable()
    source = open_source(str(image))
    report = warm.inspect(source, DeclaredImage(name="late", properties={"a": "b"}))
    assert report.outcome == "accepted", report
    assert report.received.sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    assert report.verdicts[0].bytes_total == 3 << 20
    assert report.properties["declared.name"] == "late"


def test_a_warm_run_is_for_one_image(make: Make, image: Path) -> None:
    warm = make(plan_of("good:Count"))
    assert warm.inspect(open_source(str(image)), DeclaredImage()).outcome == "accepted"
    assert not warm.is_usable()
    source = open_source(str(image))
    with pytest.raises(DouaneError):
        warm.inspect(source, DeclaredImage())
    assert str(image) not in [file.path for file in psutil.Process().open_files()]


def test_a_warm_run_whose_plugin_died_is_not_usable(make: Make, image: Path) -> None:
    earlier = set(psutil.Process().children(recursive=True))
    warm = make(plan_of("good:Count"))
    started = [child for child in psutil.Process().children(recursive=True) if child not in earlier]
    assert started
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
    until("the end of the plugin is noticed", lambda: not warm.is_usable())
    assert warm.inspect(open_source(str(image)), DeclaredImage()).outcome == "undecided"


def test_closing_a_warm_run_ends_its_plugins(make: Make) -> None:
    earlier = set(psutil.Process().children(recursive=True))
    warm = make(plan_of("good:Count"))
    started = [child for child in psutil.Process().children(recursive=True) if child not in earlier]
    warm.close()
    assert started
    assert not [process for process in started if lives(process)]
