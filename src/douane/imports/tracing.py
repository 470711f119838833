"""Traces (OpenTelemetry): a request, its upload, the worker's run, each plugin and the publishing are one trace.

They are an extra. Without the standard environment variables that name a collector nothing is imported and every
function here does nothing. The door and the workers each send their own spans; the record of a task carries the trace
from one to the other, as a W3C ``traceparent``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from douane.errors import PlanError
from douane.report import Report

from .trace_types import Span, Tracer, Value

__all__ = ["Span", "begin", "check", "close", "configure", "is_wanted", "now_ns", "record_plugins", "span"]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
CLOSE_SECONDS = 3.0
"""How long a process that ends waits for a collector."""


class NoSpan:
    """Nothing is traced."""

    traceparent: str | None = None

    def set(self, **attributes: Value) -> None:
        """See `Span`."""

    def fail(self, message: str) -> None:
        """See `Span`."""

    def end(self) -> None:
        """See `Span`."""


_NOTHING = NoSpan()
_tracers: list[Tracer] = []
"""That of this process, or none."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """True if the environment names a collector, and does not switch traces off."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    return exporter == "otlp" or any(environment.get(name) for name in ENDPOINTS)


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raise PlanError if traces are wanted, and cannot be made."""
    if not is_wanted(environment):
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise PlanError(
            "the environment (OTEL_…) asks for traces, which need the extra 'tracing': install it, or unset these "
            "variables"
        )
    protocol = next((environment[name] for name in PROTOCOLS if environment.get(name)), HTTP)
    if protocol != HTTP:
        raise PlanError(f"the environment asks for traces by {protocol!r:.40}; only {HTTP} is supported")


def configure(process: str) -> None:
    """Trace this process, if the environment says so. `process` is "door" or "worker". Raises PlanError."""
    check()
    if is_wanted(os.environ):
        from .otel_tracer import OtelTracer

        _tracers[:] = [OtelTracer(process)]


def begin(name: str, parent: str | None = None, *, is_server: bool = False) -> Span:
    """A span of an asyncio task, which the caller ends; `parent` is a traceparent."""
    return _tracers[0].begin(name, parent, is_server=is_server) if _tracers else _NOTHING


@contextlib.contextmanager
def span(name: str, parent: str | None = None) -> Iterator[Span]:
    """A span of this thread, in the span of this thread if there is one, otherwise in `parent`."""
    if not _tracers:
        yield _NOTHING
        return
    with _tracers[0].within(name, parent) as made:
        yield made


def record_plugins(report: Report, began_ns: int) -> None:
    """A span for each plugin of a run that began at `began_ns`, as long as the plugin had work."""
    if not _tracers:
        return
    for verdict in report.verdicts:
        attributes = {
            "douane.plugin": verdict.plugin,
            "douane.outcome": verdict.outcome,
            "douane.code": verdict.code,
            "douane.bytes": verdict.bytes_seen,
        }
        _tracers[0].record(f"plugin {verdict.plugin}", began_ns, began_ns + round(verdict.seconds * 1e9), attributes)


def now_ns() -> int:
    """The time of the clock of spans."""
    return time.time_ns()


def close() -> None:
    """Send what was not sent yet; a collector that does not answer is not waited for."""
    while _tracers:
        thread = threading.Thread(target=_tracers.pop().close, name="douane-traces", daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)
