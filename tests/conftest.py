"""What all tests share: settings, and qemu-img, which makes real images."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# On a busy machine an example may take seconds. In CI the examples are the same in each run: a failure comes of the
# change that is tested.
hypothesis.settings.register_profile("douane", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("douane")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """14,000 tests are a million objects that stay. The garbage collector would read them all again and again: while
    they come, a quarter of that time, and later whenever it looks for old cycles."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def qemu_img(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Makes an image with qemu-img: `qemu_img(format, *options, size=..., data=...)` gives its bytes."""
    folder: Path = tmp_path_factory.mktemp("qemu-img")
    made: dict[tuple[Any, ...], bytes] = {}

    def make(kind: str, *options: str, size: int = 8 << 20, data: bytes | None = None) -> bytes:
        key = (kind, options, size, data)
        if key not in made:
            target = folder / f"{len(made)}.{kind}"
            if data is None:
                words = ["qemu-img", "create", "-q", "-f", kind, *options, str(target), str(size)]
            else:
                source = folder / f"{len(made)}.raw"
                source.write_bytes(data)
                words = ["qemu-img", "convert", "-q", "-f", "raw", "-O", kind, *options, str(source), str(target)]
            _run(words)
            made[key] = target.read_bytes()
        return made[key]

    return make


def _run(words: list[str]) -> None:
    """qemu-img times its key derivation for LUKS, and gives up on a busy machine: then again."""
    for _ in range(20):
        done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
        if "CPU usage" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
