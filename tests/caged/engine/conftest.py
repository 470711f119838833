"""Fixtures that run a plan on real bytes, in real sandboxes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import time
from pathlib import Path

import pytest

from douane import sandbox
from douane.declared import DeclaredImage
from douane.engine import RunOptions, inspect_image, load_plan, open_source
from support import wire_programs

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(params=["strict", "full"])
def tier(request):
    """Every tier with a sandbox."""
    return sandbox.Tier(request.param)


@pytest.fixture(scope="session")
def subreaper():
    """Orphans become children of this process, so that a process that was left behind is seen (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children() -> set[int]:
    pids: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):  # the thread has just ended
            pids |= {int(pid) for pid in Path(f"/proc/self/task/{task}/children").read_text().split()}
    return pids


@pytest.fixture
def nothing_left(subreaper, tmp_path_factory, monkeypatch):
    """After the test there are no more processes, temporary files or descriptors than before."""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    processes, descriptors = children(), len(os.listdir("/proc/self/fd"))
    yield
    for _ in range(100):  # a killed process is gone when it has been reaped
        remaining = children() - processes
        for pid in remaining:
            os.waitpid(pid, os.WNOHANG)
        if not remaining:
            break
        time.sleep(0.05)
    assert children() <= processes
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert list(temporary.iterdir()) == []


@pytest.fixture
def run(tier, tmp_path):
    """``run(data or path, specs, settings=..., toml=...)``: a report, from the real thing."""

    def go(image, plugins=(), *, settings=(), toml=None, declared=None, sink=None, log=None, size=None):
        if isinstance(image, bytes):
            path = tmp_path / "image"
            path.write_bytes(image)
            image = str(path)
        config = None
        if toml is not None:
            config = str(tmp_path / "plan.toml")
            Path(config).write_text(toml)
        plan = load_plan(config, extra=plugins, settings=settings)
        return inspect_image(
            plan,
            DeclaredImage.from_json(declared or {}),
            open_source(image, size=size),
            sink,
            RunOptions(tier=tier, emit=(lambda *line: log.append(line)) if log is not None else (lambda *line: None)),
        )

    return go


@pytest.fixture(scope="session")
def wire_c(tmp_path_factory):
    """The programs of tests/contract/wire_c are compiled."""
    wire_programs.compile_all(tmp_path_factory.mktemp("wire_c"))
