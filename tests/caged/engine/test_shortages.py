"""What a run leaves behind, and in which tier it runs, on a host that is short of something."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from douane.host import launch
from douane.report import Report
from douane.sandbox import spawn, tiers
from douane.sandbox.host_limits import OPEN_FILES_A_START
from douane.stream.source import FileSource
from support.plans import plan_of

LIMIT = 1024


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(os.urandom(1000))
    return path


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """Leave this process `count` descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(LIMIT, limits[1]), limits[1]))
    held: list[int] = []
    try:
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                break
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("free", range(1, 16))
def test_a_start_without_descriptors_fails_and_leaves_none_open(
    tier: sandbox.Tier, image: Path, tmp_path: Path, nothing_left: None, free: int
) -> None:
    """An agent goes on after it: what each such image left open would add up."""
    service_file = tmp_path / "plan.toml"
    service_file.write_text(plan_of("good:Count", "good:Upper", "good:Random"))
    plan = load_plan(str(service_file))
    source = FileSource(os.open(image, os.O_RDONLY), "image")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with free_descriptors(free), pytest.raises((sandbox.SandboxError, launch.PlanError)):
        inspect_image(plan, DeclaredImage(), source, None, RunOptions(tier=tier))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before - 1  # the source is closed
    assert free < OPEN_FILES_A_START


@pytest.fixture
def bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file does not exist, bwrap works."""
    broken = tmp_path / "broken"
    program = tmp_path / "bwrap"
    program.write_text(f'#!/bin/sh\n[ -e {broken} ] && exit 1\nexec {spawn.bubblewrap()} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(spawn, "bubblewrap", lambda: str(program))
    monkeypatch.setattr(tiers, "bubblewrap", lambda: str(program))
    return broken


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process has started no plugin and tried no layer."""
    monkeypatch.setattr(launch, "_WORKING", set())
    for function in (tiers._begin_trial, tiers._namespaces):
        function.cache_clear()
    yield
    for function in (tiers._begin_trial, tiers._namespaces):
        function.cache_clear()


def report_of(image: Path) -> Report:
    return inspect_image(load_plan(None), DeclaredImage(), open_source(str(image)))


def test_a_host_without_namespaces_gets_the_tier_strict(image: Path, bwrap: Path, forgotten: None) -> None:
    bwrap.touch()
    assert report_of(image).verdicts[0].ran.sandbox == "strict"


def test_a_tier_that_has_worked_is_not_replaced_by_a_weaker_one(image: Path, bwrap: Path, forgotten: None) -> None:
    """Whoever makes the host short of processes or memory would else choose the sandbox of the next image."""
    assert report_of(image).verdicts[0].ran.sandbox == "full"
    bwrap.touch()
    with pytest.raises(sandbox.SandboxError, match="bwrap ended before"):
        report_of(image)


def test_a_layer_that_cannot_be_tried_for_want_of_descriptors_is_not_missing(forgotten: None) -> None:
    with free_descriptors(1), pytest.raises(sandbox.SandboxError, match=r"could not be tried: .*ulimit -n"):
        sandbox.choose(None, sandbox.Tier.STRICT)
    assert sandbox.choose(None, sandbox.Tier.STRICT) is sandbox.Tier.FULL
