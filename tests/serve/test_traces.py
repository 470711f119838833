"""Traces: one from the request of a client to the published image, at a collector; and none without a collector."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.collector import Collector
from support.judged import OCTETS, settled, write_config
from support.processes import SECONDS
from support.serve import serving
from support.waiting import until

IMAGE = bytes(range(256)) * 8192
TRACE, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
UPLOAD = ["PUT", "upload", "run", "plugin judge", "publish"]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    started = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", started.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield started
    started.stop()


def test_an_upload_is_one_trace_from_the_client_through_door_and_worker(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        path = f"/v2/images/{image_id}/file"
        assert serve.client.put(path, content=IMAGE, headers={**OCTETS, **TRACEPARENT}).status_code == 204
        until("all spans are there", lambda: len(collector.of_trace(TRACE)) == len(UPLOAD))
        request, upload, run, plugin, publish = (collector.of_trace(TRACE)[name] for name in UPLOAD)
        assert [request.parent, upload.parent, run.parent] == [CLIENT, request.id, upload.id]
        assert [plugin.parent, publish.parent] == [run.id, run.id]
        assert (request.facts["http.response.status_code"], request.facts["http.route"]) == (
            204,
            "/v2/images/{image_id}/file",
        )
        assert [request.facts["douane.process"], run.facts["douane.process"]] == ["door", "worker"]
        assert (run.facts["douane.image_id"], run.facts["douane.outcome"]) == (image_id, "accepted")
        assert (plugin.facts["douane.plugin"], plugin.facts["douane.bytes"]) == ("judge", len(IMAGE))
        assert {span.facts["service.name"] for span in collector.spans} == {"douane"}


def test_an_import_from_the_queue_is_in_the_trace_of_the_request_for_it(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        assert serve.client.put(f"/v2/images/{image_id}/stage", content=IMAGE, headers=OCTETS).status_code == 204
        body = {"method": {"name": "glance-direct"}, "all_stores": True}
        response = serve.client.post(f"/v2/images/{image_id}/import", json=body, headers=TRACEPARENT)
        assert response.status_code == 202
        assert settled(serve, image_id)["status"] == "active"
        until("all spans are there", lambda: len(collector.of_trace(TRACE)) == 3)
        request, run, publish = (collector.of_trace(TRACE)[name] for name in ("POST", "run", "publish"))
        assert [request.parent, run.parent, publish.parent] == [CLIENT, request.id, run.id]


def test_a_header_that_is_no_trace_begins_a_new_one(tmp_path: Path, collector: Collector) -> None:
    with serving(tmp_path / "home") as serve:
        for value in ("nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000):
            assert serve.client.get("/v2/images", headers={"traceparent": value}).status_code == 200
        until(
            "the spans are there",
            lambda: len([span for span in list(collector.spans) if span.facts.get("http.route") == "/v2/images"]) == 3,
        )
        assert {span.parent for span in collector.spans} == {""}


def test_without_a_collector_nothing_is_imported() -> None:
    program = (
        "import sys, douane.api.process.door, douane.imports.worker\n"
        "from douane.imports import tracing\n"
        "tracing.configure('door')\n"
        "with tracing.span('x') as step: step.set(a=1)\n"
        "assert step.traceparent is None and tracing.begin('y').traceparent is None\n"
        "tracing.close()\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=SECONDS, check=False).returncode == 0


def test_a_collector_that_is_away_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id = serve.create()
        assert serve.client.put(f"/v2/images/{image_id}/file", content=IMAGE, headers=OCTETS).status_code == 204
        assert serve.stop() == 0


def test_a_protocol_that_is_not_supported_is_refused_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    words = [sys.executable, "-m", "douane", "serve", "--home", str(tmp_path / "home"), "--listen", "127.0.0.1:0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2
    assert "only http/protobuf is supported" in done.stderr
