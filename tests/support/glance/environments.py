"""The virtual environments that scripts/glance-env.sh creates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path(os.environ.get("DOUANE_GLANCE_ENVS", ROOT / ".glance"))
"""Holds one environment for each of 33, 31, 29, keystone, clients and mod-wsgi."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment; `name` is what scripts/glance-env.sh calls it."""

    name: str

    @property
    def path(self) -> Path:
        """Its folder. Raises FileNotFoundError, with what to do, if it does not exist."""
        path = FOLDER / self.name
        if not (path / "bin" / "python").exists():
            raise FileNotFoundError(f"There is no {path}. Create it: scripts/glance-env.sh {self.name}")
        return path

    def program(self, name: str) -> str:
        """The path of a program in it."""
        return str(self.path / "bin" / name)

    def has_module(self, relative: str) -> bool:
        """True if site-packages holds this file or folder."""
        return any(self.path.glob(f"lib/python3*/site-packages/{relative}"))
