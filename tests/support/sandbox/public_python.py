"""Copies of Douane and of these tests, and a Python, that every user can read."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

import douane
import douane_plugin

NOBODY = 65533
"""A user without files."""

SUPPORT = Path(__file__).parents[1]


def python_for_everybody() -> str:
    """A Python of this version, which can load the same extension modules, that another user can run."""
    version = "{}.{}".format(*sys.version_info)
    for name in (os.path.realpath(sys.executable), f"/usr/bin/python{version}"):
        with contextlib.suppress(OSError):  # missing, or not for that user
            tried = subprocess.run(
                [name, "-I", "-c", "import ctypes"],
                user=NOBODY if os.geteuid() == 0 else None,
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return name
    raise AssertionError(f"these tests, run by root, need a Python that others can run: /usr/bin/python{version}")


@contextlib.contextmanager
def place_for_everybody() -> Iterator[Path]:
    """A folder with `douane`, `douane_plugin`, `msgspec` and `support`, for PYTHONPATH."""
    place = Path("/tmp") / f"douane-ordinary-{os.getpid()}-{time.monotonic_ns()}"
    try:
        for source in (douane.__path__[0], douane_plugin.__path__[0], msgspec.__path__[0]):
            shutil.copytree(source, place / Path(source).name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(SUPPORT, place / "support", ignore=shutil.ignore_patterns("__pycache__"))
        for folder, _, files in os.walk(place):
            os.chmod(folder, 0o755)
            for file in files:
                os.chmod(os.path.join(folder, file), 0o644)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_as_ordinary_user(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` as a user without files; as this user, if that is not root."""
    user = NOBODY if os.geteuid() == 0 else None
    with place_for_everybody() as place:
        return subprocess.run(
            [python_for_everybody(), "-B", "-m", module, *arguments],
            env={"PYTHONPATH": str(place), "PATH": os.environ["PATH"]},
            cwd=place,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            capture_output=True,
            text=True,
            check=False,
        )
