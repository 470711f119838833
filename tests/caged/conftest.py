"""What the tests with sandboxes share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane import sandbox
from support.processes import become_subreaper, children, wait_until_gone
from support.program import Program


@pytest.fixture(params=[sandbox.Tier.STRICT, sandbox.Tier.FULL], ids=str)
def tier(request: pytest.FixtureRequest) -> sandbox.Tier:
    """Every tier that confines a process."""
    chosen: sandbox.Tier = request.param
    return chosen


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files during the test."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def nothing_left(temporary: Path) -> Iterator[None]:
    """Fail if the test leaves a process, a temporary file, or a descriptor more than before."""
    become_subreaper()
    processes, descriptors = children(), len(os.listdir("/proc/self/fd"))
    yield
    wait_until_gone(processes)
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert list(temporary.iterdir()) == []


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program, with a home of its own; after the test nothing is left but what it stored."""
    program = Program(tmp_path)
    yield program
    program.nothing_left()
