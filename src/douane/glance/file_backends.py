"""Where staged files of this worker are inspected: here, or by the agent of this host."""

from __future__ import annotations

import os
import sys
import threading
from typing import Protocol

from douane.agent import Agent
from douane.declared import DeclaredImage
from douane.engine import DouaneError, FileSource, PlanError, Report, RunOptions, Sink, inspect_image

from .backends import LocalGate, emit
from .settings import Settings

PATIENCE_SECONDS = 120.0
"""So long an agent that went away is asked again: one that is restarted is back then."""


class FileGate(Protocol):
    """Inspects files."""

    transforms: bool
    """True if what comes out may be another image than went in."""

    digest: str
    """SHA-256 (hex) of the plan."""

    plugins: frozenset[str]
    """Names of the plugins: each owns the properties ``NAME.*``."""

    def inspect(self, fd: int, declared: DeclaredImage, name: str, result: Sink | None) -> Report:
        """The outcome for the regular file `fd`, which stays open. Raises DouaneError."""


class LocalFileGate:
    """The engine in this process. Raises PlanError or DouaneError, with what to do."""

    def __init__(self, settings: Settings) -> None:
        if _threads_are_green():
            raise DouaneError(
                "this Glance runs under eventlet, in which the engine cannot run: run Glance under uwsgi or mod_wsgi, "
                "or give the images to `douane agent`"
            )
        gate = LocalGate(settings)
        self._plan, self._tier = gate.plan, gate.tier
        self.transforms, self.digest = gate.transforms, gate.digest
        self.plugins = gate.plugins

    def inspect(self, fd: int, declared: DeclaredImage, name: str, result: Sink | None) -> Report:
        source = FileSource(os.dup(fd), name)
        return inspect_image(self._plan, declared, source, result, RunOptions(tier=self._tier, emit=emit))


class AgentFileGate:
    """The agent of this host, which is asked what it serves. Raises DouaneError."""

    def __init__(self, path: str) -> None:
        self._agent = Agent(path)
        told = self._agent.plan(patience=PATIENCE_SECONDS)
        self.transforms, self.digest = bool(told["transforms"]), str(told["digest"])
        self.plugins = frozenset(map(str, told["plugins"]))

    def inspect(self, fd: int, declared: DeclaredImage, name: str, result: Sink | None) -> Report:
        sink = result.fd if result is not None else None
        return self._agent.inspect(fd, declared, name, sink=sink, patience=PATIENCE_SECONDS)


_Known = tuple[Settings, tuple[int, ...], LocalFileGate]
_lock = threading.Lock()
_known: list[_Known] = []
"""The last one that was made; at most one."""


def file_gate(settings: Settings) -> FileGate:
    """The gate that `settings` ask for: made once, and again when the file of the plan is another.

    Raises PlanError or DouaneError if it cannot be used, also where the plan was good before.
    """
    if settings.agent is not None:
        return AgentFileGate(settings.agent)
    with _lock:
        seen = _signature(settings)
        if _known and _known[0][:2] == (settings, seen):
            return _known[0][2]
        _known.clear()
        gate = LocalFileGate(settings)
        _known.append((settings, seen, gate))
        return gate


def _signature(settings: Settings) -> tuple[int, ...]:
    try:
        found = os.stat(settings.config or "")
    except OSError as error:
        raise PlanError(f"the configuration {settings.config} cannot be read: {error.strerror}") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _threads_are_green() -> bool:
    """True where eventlet has put its own in the place of Python's threads: the engine waits in real ones."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))
