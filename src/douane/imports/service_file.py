"""What is served, as the supervisor tried it: a file in the home, from which doors and workers read plan and settings.

So all processes of a service use one configuration, also those that are started again while the operator edits the
file: a configuration that is broken then is refused by the supervisor, and by nobody else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from douane.engine.served_plan import ServedPlan
from douane.errors import PlanError

from .settings import ServeSettings

NAME = "service.json"
RUN = "run"
"""The folder in the home with what belongs to the running service."""

NO_IMPORTS = "no-imports"
"""While this file is in the folder, the service takes no new images (`douane drain`)."""


DOORS, WAKE = "workers.sock", "wake.sock"
"""The sockets in the folder by which doors reach workers."""


class ServiceFile(msgspec.Struct, frozen=True):
    """Settings and plan of a service."""

    settings: ServeSettings
    served: ServedPlan
    identities: dict[str, str] = {}
    """Of the stores, as the catalog has them, by id."""


def write_service_file(home: Path, service: ServiceFile) -> None:
    """Replace the file in one step. Raises PlanError."""
    folder = home / RUN
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / f"{NAME}.new"
        fresh.touch(mode=0o600)
        fresh.write_bytes(msgspec.json.encode(service, enc_hook=_plain))
        os.replace(fresh, folder / NAME)
    except OSError as error:
        raise PlanError(f"the configuration cannot be kept in {folder}: {error.strerror}") from error


def read_service_file(home: Path) -> ServiceFile:
    """What is served. Raises PlanError."""
    path = home / RUN / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServiceFile, dec_hook=lambda kind, value: kind(value))
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise PlanError(f"the configuration in {path} cannot be read: {error}") from error


def _plain(value: Any) -> Any:
    """Sizes, durations and the like, as the number or the text that they are."""
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise NotImplementedError(type(value).__name__)
