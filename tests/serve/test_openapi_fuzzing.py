"""schemathesis makes requests from the OpenAPI document of a running service: none is answered with a 5xx, and every
answer is one that the document describes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.doc_pages import TOP
from support.serve import Serve, serving

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PLAN = '[[plugin]]\nname = "format"\nuse = "format"\n[serve.web_download]\nallow = ["nowhere.example"]\n'
SETTINGS = """[parameters]
"path.image_id" = "{image_id}"
"path.member" = "p2"
"""


def fuzz(serve: Serve, folder: Path, *options: str, settings: str = "") -> None:
    (folder / "schemathesis.toml").write_text(settings)
    program = Path(sys.executable).parent / "schemathesis"
    words = [
        str(program), "--config-file", str(folder / "schemathesis.toml"), "run", f"{serve.url}/openapi.json",
        "--checks", CHECKS, "--seed", "20261129", "--no-shrink", "--generation-database", "none", "--warnings", "off",
        "--request-timeout", "60", "--continue-on-failure", "--max-failures", "5", *options,
    ]  # fmt: skip
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "support.schemathesis_hooks", "PYTHONPATH": str(TOP / "tests")}
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=folder, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-1000:]}\n{serve.log.read_text()[-2000:]}"
    assert "generated" in done.stdout


@pytest.fixture
def serve(tmp_path: Path):
    (tmp_path / "douane.toml").write_text(PLAN)
    with serving(tmp_path / "home", tmp_path / "douane.toml", "--workers", "1") as running:
        yield running


def test_no_request_breaks_the_service_and_every_answer_is_described(serve: Serve, tmp_path: Path) -> None:
    fuzz(serve, tmp_path, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "12")
    assert "Traceback" not in serve.log.read_text()
    assert serve.client.get("/healthcheck").status_code == 200


def test_no_request_about_an_image_that_exists_breaks_the_service(serve: Serve, tmp_path: Path) -> None:
    image_id = serve.create(name="n", visibility="shared")
    serve.client.post(f"/v2/images/{image_id}/members", json={"member": "p2"})
    fuzz(
        serve, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "12",
        "--include-path-regex", "image_id", "--exclude-method", "DELETE",
        settings=SETTINGS.format(image_id=image_id),
    )  # fmt: skip
    assert "Traceback" not in serve.log.read_text()
    assert serve.client.get(f"/v2/images/{image_id}").status_code == 200
