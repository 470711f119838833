"""Douane needs no root: an ordinary user's cages are as closed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import douane
import douane_plugin
from douane import sandbox

NOBODY = 65533
HERE = Path(__file__).parent


def python_for_everybody() -> str:
    """A Python of 3.11 or later that another user can run."""
    for name in (os.path.realpath(sys.executable), *(f"/usr/bin/python3.{minor}" for minor in range(11, 16))):
        with contextlib.suppress(OSError):  # not there, or not for that user
            tried = subprocess.run(
                [name, "-I", "-c", "import sys, ctypes; sys.exit(sys.version_info < (3, 11))"],
                user=NOBODY if os.geteuid() == 0 else None,
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return name
    raise AssertionError("these tests, run by root, need a Python 3.11 or later that others can run: /usr/bin/python3")


def test_a_cage_built_without_root_is_closed(tier: sandbox.Tier) -> None:
    place = Path("/tmp") / f"douane-ordinary-{os.getpid()}-{tier.value}"
    try:
        for source in (douane.__path__[0], douane_plugin.__path__[0]):
            shutil.copytree(source, place / Path(source).name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(HERE, place / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        for folder, _, files in os.walk(place):
            os.chmod(folder, 0o755)
            for file in files:
                os.chmod(os.path.join(folder, file), 0o644)
        done = subprocess.run(
            [python_for_everybody(), "-B", str(place / "tests" / "ordinary.py"), tier.value],
            env={"PYTHONPATH": str(place), "PATH": os.environ["PATH"]},
            cwd=place,
            user=NOBODY if os.geteuid() == 0 else None,
            group=NOBODY if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "closed\n", done.stderr
    finally:
        shutil.rmtree(place, ignore_errors=True)
