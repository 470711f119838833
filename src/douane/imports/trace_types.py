"""What traces are made of: the protocols of a span and of the tracer that makes it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Protocol

Value = str | int | float | bool | None


class Span(Protocol):
    """One step that is being traced."""

    traceparent: str | None
    """By which a step in another process becomes part of the same trace; None without tracing."""

    def set(self, **attributes: Value) -> None:
        """Add facts; None is left out. Two underscores stand for a dot."""

    def fail(self, message: str) -> None:
        """The step failed by a fault of the service."""

    def end(self) -> None:
        """The step has ended. Idempotent."""


class Tracer(Protocol):
    """Makes spans; `otel_tracer.py` has the one that does."""

    def begin(self, name: str, parent: str | None, *, is_server: bool) -> Span:
        """A span of an asyncio task."""

    def within(self, name: str, parent: str | None) -> contextlib.AbstractContextManager[Span]:
        """A span of this thread: others that begin inside are its children."""

    def record(self, name: str, begin_ns: int, end_ns: int, attributes: Mapping[str, Value]) -> None:
        """A step of the past, within the span of this thread."""

    def close(self) -> None:
        """Send what was not sent yet."""
