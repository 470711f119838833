"""Metrics for Prometheus: requests of this door, and the imports that ended, which workers have run."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from douane.catalog import Catalog, Task
from douane.catalog.records import now, time_text

from .documents.task_progress import slow_plugin

LOOK_BACK = timedelta(seconds=60)
"""Clocks of machines differ, and a transaction is seen later than its time."""
PAGE = 1000
PAGES = 50
"""Of ended tasks at one scrape; the rest comes with the next."""
LABEL_VALUES = 200
"""Different codes and plugins that are told apart: both are words that plugins and their operators choose."""

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)
IMPORT_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
PLUGIN_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
STEPS = ("waiting", "open", "receiving", "staged", "publishing")


class Metrics:
    """All metrics of one door, in a registry of its own."""

    def __init__(self, catalog: Catalog, workers: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time for each counter, which nobody asks for
        registry = self._registry = CollectorRegistry()
        self._catalog = catalog
        self._words: dict[str, set[str]] = {}
        self._cursor = now()
        self._seen: dict[str, str] = {}
        self._requests = Counter("douane_http_requests", "Requests.", ("method", "route", "status"), registry=registry)
        self._request_seconds = Histogram(
            "douane_http_request_seconds",
            "Time of requests.",
            ("method", "route"),
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.uploads = Gauge("douane_uploads", "Uploads whose bytes arrive now.", registry=registry)
        self.upload_bytes = Counter("douane_upload_bytes", "Bytes received in uploads.", registry=registry)
        self._imports = Counter(
            "douane_imports", "Imports that ended.", ("method", "outcome", "code"), registry=registry
        )
        self._import_seconds = Histogram(
            "douane_import_seconds",
            "Time from the beginning of an import to its end.",
            ("method", "outcome"),
            buckets=IMPORT_SECONDS,
            registry=registry,
        )
        self._import_bytes = Counter(
            "douane_import_bytes", "Bytes of imports that ended.", ("method", "outcome"), registry=registry
        )
        self._plugin_seconds = Histogram(
            "douane_plugin_seconds",
            "Time in which a plugin had work on an image.",
            ("plugin", "outcome"),
            buckets=PLUGIN_SECONDS,
            registry=registry,
        )
        self._tasks = Gauge(
            "douane_import_tasks", "Imports that have not ended, by step.", ("step",), registry=registry
        )
        self._held_up = Gauge(
            "douane_imports_held_up", "Imports that run and wait for this plugin.", ("plugin",), registry=registry
        )
        Gauge("douane_workers", "Imports that can run at once.", registry=registry).set(workers)

    def observe_request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count an answer; `route` is the template of its path, None for an unknown path."""
        name = route or "other"
        self._requests.labels(method, name, str(status)).inc()
        self._request_seconds.labels(method, name).observe(seconds)

    def text(self) -> bytes:
        """All metrics, with the imports that ended since the last call. It reads the catalog: call it in a thread."""
        for task in self._ended():
            self._observe_import(task)
        counts = self._catalog.unfinished_by_step()
        for step in STEPS:
            self._tasks.labels(step).set(counts.get(step, 0))
        held_up = Counted(map(slow_plugin, self._catalog.running_reports()))
        self._held_up.clear()
        for plugin, count in held_up.items():
            if plugin:
                self._held_up.labels(self._bounded("plugin", plugin)).inc(count)
        return generate_latest(self._registry)

    def _ended(self) -> Iterator[Task]:
        """The tasks that ended since the last call, each once."""
        start = _earlier(self._cursor)
        self._seen = {task_id: time for task_id, time in self._seen.items() if time >= start}
        for _ in range(PAGES):
            page = self._catalog.ended_since(start, PAGE)
            for task in page:
                if task.id not in self._seen:
                    self._seen[task.id] = task.updated_at
                    yield task
            if not page:
                return
            self._cursor = max(self._cursor, page[-1].updated_at)
            if len(page) < PAGE or page[-1].updated_at == start:
                return
            start = page[-1].updated_at

    def _observe_import(self, task: Task) -> None:
        outcome = task.outcome or "undecided"
        code = self._bounded("code", task.code or "")
        self._imports.labels(task.method, outcome, code).inc()
        self._import_seconds.labels(task.method, outcome).observe(_seconds(task))
        self._import_bytes.labels(task.method, outcome).inc(task.size if task.size is not None else task.done)
        for verdict in _verdicts(task.report):
            plugin = self._bounded("plugin", str(verdict.get("plugin", "")))
            seconds = verdict.get("seconds")
            if isinstance(seconds, int | float):
                self._plugin_seconds.labels(plugin, str(verdict.get("outcome", ""))[:32]).observe(seconds)

    def _bounded(self, label: str, value: str) -> str:
        words = self._words.setdefault(label, set())
        if value not in words and len(words) >= LABEL_VALUES:
            return "other"
        words.add(value[:100])
        return value[:100]


def _verdicts(report: Any) -> list[dict[str, Any]]:
    verdicts = report.get("verdicts") if isinstance(report, dict) else None
    return [verdict for verdict in verdicts if isinstance(verdict, dict)] if isinstance(verdicts, list) else []


def _seconds(task: Task) -> float:
    return max(0.0, (_time(task.updated_at) - _time(task.created_at)).total_seconds())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)


def _earlier(time: str) -> str:
    return time_text(_time(time) - LOOK_BACK)
