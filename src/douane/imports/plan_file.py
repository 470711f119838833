"""The plan that is served, as the supervisor tried it: a file in the home, from which doors and workers read it.

So all processes use one plan, also while the operator edits the configuration file.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from douane.engine.served_plan import ServedPlan
from douane.errors import PlanError

NAME = "plan.json"
RUN = "run"
"""The folder in the home with what belongs to the running service."""

NO_IMPORTS = "no-imports"
"""While this file is in the folder, the service takes no new images (`douane drain`)."""


def write_plan_file(home: Path, served: ServedPlan) -> None:
    """Replace the file in one step. Raises PlanError."""
    folder = home / RUN
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / f"{NAME}.new"
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(served))
        os.replace(fresh, folder / NAME)
    except OSError as error:
        raise PlanError(f"the plan cannot be kept in {folder}: {error.strerror}") from error


def read_plan_file(home: Path) -> ServedPlan:
    """The plan that is served. Raises PlanError."""
    path = home / RUN / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServedPlan)
    except (OSError, msgspec.MsgspecError) as error:
        raise PlanError(f"the plan in {path} cannot be read: {error}") from error
