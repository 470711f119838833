"""An import that is killed between any two of its steps is finished or undone by the next recovery."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from douane.imports import Home
from douane.stores import save

PROGRAM = Path(__file__).parents[2] / "support" / "killed_import.py"

# From "ready" on, the import has its verdict and its bytes are durable: the next recovery finishes it.
UNDONE = [
    *("before:stage", "after:stage", "before:begin", "after:begin", "before:inspect", "before:finish"),
    *("after:finish", "after:inspect", "before:ready"),
]
FINISHED = [
    *("after:ready", "before:publish", "before:link", "after:link", "before:sync", "after:sync"),
    *("before:unlink", "after:unlink", "after:sync#2", "after:publish", "before:activate"),
]
WHILE_RECOVERING = [
    *("before:take_over", "after:take_over", "before:adopt", "after:adopt", "before:publish", "after:link"),
    *("before:unlink", "after:unlink", "after:publish", "before:activate"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "image").write_bytes(os.urandom(300_000))
    return tmp_path


@pytest.fixture
def home(place: Path) -> Iterator[Home]:
    opened = Home(place / "home")
    yield opened
    opened.close()


def run(place: Path, what: str, boundary: str) -> None:
    """Run the program, which must die at the boundary."""
    command = [sys.executable, str(PROGRAM), str(place / "home"), str(place / "image"), what, boundary]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr


def is_complete(home: Home, place: Path) -> None:
    """One active image with all its bytes and facts; nothing is staged; the task was accepted."""
    [image] = home.catalog.images()
    assert (image.status, image.name, image.size, image.disk_format) == ("active", "killed", 300_000, "raw")
    assert image.properties["format.disk_format"] == "raw"
    saved = place / "saved"
    assert save(home.store, image.id, saved) == image.size
    assert saved.read_bytes() == (place / "image").read_bytes()
    assert list(home.store.image_ids()) == [image.id]
    assert os.listdir(place / "home" / "store" / "staging") == []
    assert [task.outcome for task in home.catalog.tasks(image.id)] == ["accepted"]
    assert home.catalog.unfinished() == []


def is_gone(home: Home, place: Path) -> None:
    """No image and no bytes; its task, if there was one, has ended with a message."""
    assert home.catalog.images() == []
    assert list(home.store.image_ids()) == []
    staging = place / "home" / "store" / "staging"
    assert not staging.exists() or os.listdir(staging) == []
    assert home.catalog.unfinished() == []
    for image in home.catalog.images(include_deleted=True):
        [task] = home.catalog.tasks(image.id)
        assert task.outcome in ("undecided", "refused")
        assert "import" in (task.message or "")


@pytest.mark.parametrize("boundary", UNDONE)
def test_an_undecided_import_is_undone(place: Path, home: Home, boundary: str) -> None:
    run(place, "import", boundary)
    home.recover()
    is_gone(home, place)
    assert home.recover() == []


@pytest.mark.parametrize("boundary", FINISHED)
def test_a_decided_import_is_finished(place: Path, home: Home, boundary: str) -> None:
    run(place, "import", boundary)
    home.recover()
    is_complete(home, place)
    assert home.recover() == []


def test_after_the_last_step_recovery_does_nothing(place: Path, home: Home) -> None:
    run(place, "import", "after:activate")
    assert home.recover() == []
    is_complete(home, place)


@pytest.mark.parametrize("boundary", ["after:inspect", "before:discard", "after:discard", "before:fail", "after:fail"])
def test_a_refused_image_stays_out(place: Path, home: Home, boundary: str) -> None:
    run(place, "refuse", boundary)
    home.recover()
    assert home.catalog.images() == []
    assert list(home.store.image_ids()) == []
    assert os.listdir(place / "home" / "store" / "staging") == []
    assert home.catalog.unfinished() == []


@pytest.mark.parametrize("boundary", WHILE_RECOVERING)
def test_a_killed_recovery_is_completed_by_the_next(place: Path, home: Home, boundary: str) -> None:
    run(place, "import", "before:publish")
    run(place, "recover", boundary)
    home.recover()
    is_complete(home, place)


@pytest.mark.parametrize("boundary", ["before:take_over", "after:take_over", "before:fail", "after:fail"])
def test_a_killed_undo_is_completed_by_the_next(place: Path, home: Home, boundary: str) -> None:
    run(place, "import", "before:ready")
    run(place, "recover", boundary)
    home.recover()
    is_gone(home, place)
