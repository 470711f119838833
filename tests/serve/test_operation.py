"""What operators see and do: metrics, logs, and the end of new imports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.doc_pages import page, spans
from support.judged import OCTETS, write_config
from support.processes import SECONDS
from support.serve import Serve, serving

GOOD = bytes(range(256)) * 8192
BAD = b"bad" + bytes(1 << 20)
TOKEN = "a-token-that-nobody-may-read"


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("operation")
    with serving(folder / "home", write_config(folder), "--log-format", "json") as started:
        yield started


def put(serve: Serve, data: bytes) -> str:
    image_id = serve.create()
    serve.client.put(f"/v2/images/{image_id}/file", content=data, headers={**OCTETS, "X-Auth-Token": TOKEN})
    return image_id


def metrics(serve: Serve) -> dict[tuple[str, ...], float]:
    """The values, by the name and the values of the labels."""
    response = serve.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def log_lines(serve: Serve) -> list[dict[str, object]]:
    return [json.loads(line) for line in serve.log.read_text().splitlines()]


def test_metrics_count_each_import_once_by_outcome_and_code(serve: Serve) -> None:
    before = metrics(serve)
    put(serve, GOOD)
    put(serve, BAD)
    first, second = metrics(serve), metrics(serve)
    for labels in (("", "upload", "accepted"), ("bad", "upload", "refused")):
        name = ("douane_imports_total", *labels)
        assert first[name] - before.get(name, 0) == 1
        assert second[name] == first[name]
    size = ("douane_import_bytes_total", "upload", "accepted")
    assert first[size] - before.get(size, 0) == len(GOOD)
    assert first["douane_plugin_seconds_count", "accepted", "judge"] >= 1
    assert first["douane_import_tasks", "waiting"] == 0
    assert first["douane_workers",] == 2
    assert first["douane_http_requests_total", "PUT", "/v2/images/{image_id}/file", "422"] >= 1


def test_every_metric_is_in_the_documents(serve: Serve) -> None:
    put(serve, GOOD)
    names = {line.split()[2] for line in serve.client.get("/metrics").text.splitlines() if line.startswith("# TYPE")}
    documented = {name for name in spans(page("docs/serve.md")) if name.startswith("douane_")}
    assert names <= documented, names - documented
    assert "douane_imports_total" in names


def test_an_unknown_path_makes_no_metric_of_its_own(serve: Serve) -> None:
    for number in range(3):
        serve.client.get(f"/v2/nonsense-{number}")
    assert "nonsense" not in serve.client.get("/metrics").text


def test_a_line_of_the_log_has_the_request_and_no_token(serve: Serve) -> None:
    image_id = put(serve, BAD)
    lines = [line for line in log_lines(serve) if line["event"] == f"PUT /v2/images/{image_id}/file"]
    assert len(lines) == 1
    line = lines[0]
    assert (line["status"], line["code"], line["process"], line["project"]) == (422, "bad", "door", "local")
    assert str(line["request_id"]).startswith("req-")
    assert line["tenant"] == "the image says that it is bad"
    assert TOKEN not in serve.log.read_text()


def test_what_only_the_operator_may_read_is_in_the_log_and_not_in_the_answer(serve: Serve) -> None:
    image_id = put(serve, GOOD)
    (serve.home.parent / "store-a" / "images" / image_id).unlink()
    response = serve.client.get(f"/v2/images/{image_id}/file")
    assert response.status_code == 503
    assert "store-a" not in response.text
    request_id = response.headers["x-openstack-request-id"]
    (line,) = [line for line in log_lines(serve) if line.get("request_id") == request_id]
    assert "store-a" in str(line["operator"])
    assert "store-a" not in str(line["tenant"])


def test_the_end_of_an_import_is_in_the_log_with_its_image_outcome_and_code(serve: Serve) -> None:
    image_id = put(serve, BAD)
    ends = [line for line in log_lines(serve) if line.get("image") == image_id]
    assert [(line["outcome"], line["code"]) for line in ends] == [("refused", "bad")]


def test_a_line_of_the_log_has_no_empty_facts(serve: Serve) -> None:
    assert serve.client.get("/v2/images/absent").status_code == 404
    line = next(line for line in reversed(log_lines(serve)) if line.get("tenant") == "There is no image absent.")
    assert None not in line.values()


def test_the_id_of_the_client_is_beside_ours(serve: Serve) -> None:
    response = serve.client.get("/v2/images", headers={"X-Openstack-Request-Id": "req-of-the-client"})
    request_id = response.headers["x-openstack-request-id"]
    (line,) = [line for line in log_lines(serve) if line.get("request_id") == request_id]
    assert line["global_request_id"] == "req-of-the-client"


def test_a_client_cannot_write_a_line_of_its_own_into_a_log_of_text(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as serve:
        serve.client.get("/v2/images/x%0Aforged")
        serve.client.get("/v2/images", headers={"X-Openstack-Request-Id": "req-\tx"})
        assert not any(line.startswith("forged") for line in serve.log.read_text().splitlines())


def test_drain_stops_new_imports_and_waits_for_the_others(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path, seconds=0.3)) as serve:
        image_id = serve.create()
        response = serve.client.put(f"/v2/images/{image_id}/stage", content=GOOD * 2, headers=OCTETS)
        assert response.status_code == 204
        serve.client.post(
            f"/v2/images/{image_id}/import", json={"method": {"name": "glance-direct"}, "all_stores": True}
        )
        drained = drain(serve, "--wait")
        assert "no import runs or waits" in drained
        assert serve.image(image_id)["status"] == "active"
        refused = serve.client.put(f"/v2/images/{serve.create()}/file", content=GOOD, headers=OCTETS)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        drain(serve, "--undo")
        other = serve.create()
        assert serve.client.put(f"/v2/images/{other}/file", content=GOOD, headers=OCTETS).status_code == 204


def test_a_service_that_starts_with_imports_stopped_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home):
        drain = [sys.executable, "-m", "douane", "drain", "--home", str(home)]
        subprocess.run(drain, timeout=SECONDS, check=True)
    with serving(home) as again:
        assert "new imports are stopped" in again.log.read_text()


def test_drain_of_a_home_without_a_service_says_so(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "douane", "drain", "--home", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2
    assert "the home of a service" in done.stderr


def drain(serve: Serve, *options: str) -> str:
    words = [sys.executable, "-m", "douane", "drain", "--home", str(serve.home), *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=True)
    return done.stderr
