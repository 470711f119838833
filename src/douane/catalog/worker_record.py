"""A worker, as the catalog returns it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

WorkerState = Literal["active", "cordoned", "drained", "gone"]
"""Cordoned: it begins no new import. Drained: it has said that it runs nothing, either. Gone: its process has ended."""


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs imports."""

    name: str
    host: str
    pid: int
    version: str
    """Of Douane."""

    stores: list[str] | None
    """The ids of the stores that it reaches; None: those of its service."""

    state: WorkerState
    started_at: str
    seen_at: str
    """Its last heartbeat, on the database's clock."""

    tasks: list[str]
    """The ids of the tasks that it holds."""


def worker_of(row: Mapping[str, Any], tasks: Iterable[str]) -> Worker:
    """The record of a row of ``workers``."""
    stores = None if row["stores"] is None else msgspec.json.decode(row["stores"])
    return msgspec.convert(
        {**{str(key): value for key, value in row.items()}, "stores": stores, "tasks": list(tasks)}, Worker
    )
