"""What the tests of the built-in inspectors share: qemu-img, which makes real images."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def qemu_img(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Makes an image with qemu-img: `qemu_img(format, *options, size=..., data=...)` gives its bytes."""
    folder: Path = tmp_path_factory.mktemp("qemu-img")
    made: dict[tuple[Any, ...], bytes] = {}

    def make(kind: str, *options: str, size: int = 8 << 20, data: bytes | None = None) -> bytes:
        key = (kind, options, size, data)
        if key not in made:
            path = folder / f"{len(made)}.{kind}"
            if data is None:
                run = ["create", "-q", "-f", kind, *options, str(path), str(size)]
            else:
                raw = folder / f"{len(made)}.raw"
                raw.write_bytes(data)
                run = ["convert", "-f", "raw", "-O", kind, *options, str(raw), str(path)]
            subprocess.run(["qemu-img", *run], check=True, cwd=folder, timeout=60)
            made[key] = path.read_bytes()
        return made[key]

    return make
