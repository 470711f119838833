"""A collector of traces on loopback: it takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class CollectedSpan:
    """One span, with the facts of its process among its own."""

    def __init__(self, span: Any, resource: Any) -> None:
        self.name: str = span.name
        self.trace = span.trace_id.hex()
        self.id = span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        self.facts: dict[str, Any] = {}
        for attribute in (*resource.attributes, *span.attributes):
            value = attribute.value
            self.facts[attribute.key] = getattr(value, value.WhichOneof("value"))


class Collector:
    """Started when it is made; `stop` ends it. `spans` grows."""

    def __init__(self) -> None:
        spans = self.spans = list[CollectedSpan]()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                        for scope in group.scope_spans:
                            spans.extend(CollectedSpan(span, group.resource) for span in scope.spans)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def of_trace(self, trace: str) -> dict[str, CollectedSpan]:
        """The spans of one trace, by their names."""
        return {span.name: span for span in list(self.spans) if span.trace == trace}

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
