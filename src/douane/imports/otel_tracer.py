"""Spans by the OpenTelemetry SDK, sent by OTLP over HTTP; imported only where traces are wanted.

The SDK reads its environment variables itself: endpoint, headers, sampler, limits, ``OTEL_SERVICE_NAME``.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .trace_types import Value

_PROPAGATOR = TraceContextTextMapPropagator()


class OtelSpan:
    """See `trace_types.Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(span, Context()))
        self.traceparent = carrier.get("traceparent")

    def set(self, **attributes: Value) -> None:
        """See `trace_types.Span`."""
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name.replace("__", "."), value)

    def fail(self, message: str) -> None:
        """See `trace_types.Span`."""
        self._span.set_status(trace.StatusCode.ERROR, message)

    def end(self) -> None:
        """See `trace_types.Span`."""
        if self._span.is_recording():
            self._span.end()


class OtelTracer:
    """See `trace_types.Tracer`."""

    def __init__(self, process: str) -> None:
        facts: dict[str, str | int] = {
            "douane.process": process,
            "process.pid": os.getpid(),
            "host.name": socket.gethostname(),
        }
        if "OTEL_SERVICE_NAME" not in os.environ:
            facts["service.name"] = "douane"
        self._provider = TracerProvider(resource=Resource.create({**facts}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("douane")

    def begin(self, name: str, parent: str | None, *, is_server: bool) -> OtelSpan:
        """See `trace_types.Tracer`."""
        kind = trace.SpanKind.SERVER if is_server else trace.SpanKind.INTERNAL
        return OtelSpan(self._tracer.start_span(name, _context_of(parent), kind=kind))

    @contextlib.contextmanager
    def within(self, name: str, parent: str | None) -> Iterator[OtelSpan]:
        """See `trace_types.Tracer`."""
        is_inner = trace.get_current_span().get_span_context().is_valid
        context = None if is_inner else _context_of(parent)
        with self._tracer.start_as_current_span(name, context, record_exception=False) as span:
            yield OtelSpan(span)

    def record(self, name: str, begin_ns: int, end_ns: int, attributes: Mapping[str, Value]) -> None:
        """See `trace_types.Tracer`."""
        known = {key: value for key, value in attributes.items() if value is not None}
        self._tracer.start_span(name, start_time=begin_ns, attributes=known).end(end_ns)

    def close(self) -> None:
        """See `trace_types.Tracer`."""
        self._provider.shutdown()


def _context_of(traceparent: str | None) -> Context:
    """The context in which a span begins; what is no traceparent begins a new trace."""
    carrier = {} if traceparent is None else {"traceparent": traceparent}
    return _PROPAGATOR.extract(carrier, Context())
