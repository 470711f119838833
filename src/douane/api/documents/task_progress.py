"""How far an import is: bytes, per cent, and the plugin that holds it up."""

from __future__ import annotations

from typing import Any

from douane.catalog.records import Task


def percent_of(task: Task) -> int | None:
    """How much of the image has arrived; None if its size is not known."""
    return min(100, task.done * 100 // task.total) if task.total else None


def slow_plugin(report: Any) -> str:
    """The plugin that held up the run when it was last looked at; of a report that is not complete yet."""
    running = report.get("running") if isinstance(report, dict) else None
    name = running.get("waits_for") if isinstance(running, dict) else None
    return name if isinstance(name, str) else ""


def progress_document(task: Task) -> dict[str, Any] | None:
    """The progress of a task that a worker runs; None for another."""
    if task.outcome is not None or task.step not in ("receiving", "publishing"):
        return None
    return {
        "bytes": task.done,
        "total": task.total,
        "percent": percent_of(task),
        "waits_for": slow_plugin(task.report) or None,
    }
