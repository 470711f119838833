"""What the supervisor tells a worker that it starts: one JSON document on its command line."""

from __future__ import annotations

from pathlib import Path

import msgspec

from douane.engine.served_plan import ServedPlan

from .service_file import ServiceFile, read_service_file
from .settings import load_settings


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One worker of the service. ``python -m douane.imports.worker SPEC`` runs it."""

    name: str
    """Of this very process: the leases of its tasks bear it, so another process never has the same."""

    host: str | None = None
    """The machine, as people name it; None: the host's name."""

    home: str
    config: str | None = None
    """The configuration file; None: what the supervisor keeps in the home (`service_file.py`)."""

    sandbox: str | None = None
    """The tier; None: the best that this host supports."""

    listen_fd: int | None = None
    """The Unix socket on which all workers accept doors (``run/workers.sock`` in the home); None: there is no door on
    this machine."""

    wake_fd: int | None = None
    """The datagram socket that receives a message for each new task in the queue (``run/wake.sock``)."""

    life_fd: int | None = None
    """A pipe that ends when the supervisor is gone: the worker ends, too."""

    beat_fd: int | None = None
    """A pipe for signs of life (`pulse.py`)."""


def service_of(spec: WorkerSpec) -> ServiceFile:
    """Settings and plan of the worker: as the supervisor tried them, or from the file that the spec names. Raises
    DouaneError."""
    if spec.config is None:
        return read_service_file(Path(spec.home))
    settings = load_settings(spec.config, Path(spec.home))
    return ServiceFile(settings, ServedPlan.load(spec.config, spec.sandbox, digests=True))
