"""What every test of the command line stands on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.gates import Gate
from support.program import MIB, Program

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell has started the tests in the background, by `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or the programs would ignore it as well


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with nothing in it. Making one is slow, and few tests are about it."""
    program = Program(tmp_path_factory.mktemp("empty"))
    assert program.images() == []
    return program.home


@pytest.fixture
def douane(tmp_path: Path, empty_home: Path) -> Iterator[Program]:
    """The program, with a home of its own. After the test nothing of it is left but what was let in."""
    shutil.copytree(empty_home, tmp_path / "home")
    program = Program(tmp_path)
    yield program
    program.nothing_left()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate, closed after the test."""
    opened = Gate(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    """A qcow2 image of 3 MiB of data on a disk of 10 MiB."""
    raw, image = tmp_path / "raw-of-qcow2", tmp_path / "disk.qcow2"
    raw.write_bytes(os.urandom(3 * MIB))
    os.truncate(raw, 10 * MIB)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    raw.unlink()
    return image


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A raw image that is longer than what is read ahead of a plugin."""
    image = tmp_path / "disk.raw"
    image.write_bytes(os.urandom(20 * MIB))
    return image


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """``write(name, text)``: a file in the test's folder."""

    def go(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return go
