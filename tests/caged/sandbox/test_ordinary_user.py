"""Douane needs no root: the sandboxes of an ordinary user hold as well."""

from __future__ import annotations

import os
import subprocess

from douane import sandbox
from support.sandbox.public_python import NOBODY, place_for_everybody, python_for_everybody


def test_a_sandbox_without_root_is_closed(tier: sandbox.Tier) -> None:
    with place_for_everybody() as place:
        completed = subprocess.run(
            [python_for_everybody(), "-B", "-m", "support.sandbox.ordinary_user", tier.value],
            env={"PYTHONPATH": str(place), "PATH": os.environ["PATH"]},
            cwd=place,
            user=NOBODY if os.geteuid() == 0 else None,
            group=NOBODY if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert completed.stdout == "closed\n", completed.stderr
