"""A site: two doors behind a real nginx, a machine of workers, PostgreSQL, and a store that all reach."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from support.deploy.chart import TOOLS
from support.doc_pages import TOP
from support.glance.postgres import Postgres
from support.glance.processes import free_port
from support.judged import OCTETS
from support.machines import working, write_machine_config
from support.processes import SECONDS
from support.serve import Serve, serving
from support.waiting import until

pytestmark = pytest.mark.deploy

PUBLIC = "https://images.example.org"
GOOD, BAD = bytes(range(256)) * 8192, b"bad" + bytes(32 << 20)


def proxy_config(folder: Path, port: int, doors: list[Serve]) -> Path:
    """The configuration of deploy/proxy, with these doors and without TLS."""
    text = (TOP / "deploy" / "proxy" / "nginx.conf").read_text()
    for number, door in enumerate(doors, 1):
        text = text.replace(f"10.0.0.1{number}:9292", f"{door.address[0]}:{door.address[1]}")
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.M)
    path = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}}}\n"
    )
    return path


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Serve]]:
    """Two doors; the machine of workers runs, too."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        postgres = Postgres()
        stack.callback(postgres.stop)
        postgres.start()
        url = postgres.create("douane").replace("psycopg2", "psycopg")
        stores = {"images": folder / "images"}

        def config(name: str) -> Path:
            return write_machine_config(folder / name, url, stores, f'public_endpoint = "{PUBLIC}"')

        started = [
            stack.enter_context(serving(folder / name / "home", config(name), "--workers", "0"))
            for name in ("door1", "door2")
        ]
        stack.enter_context(working(folder / "worker", config("worker"), "--workers", "1"))
        yield started


@pytest.fixture(scope="module")
def proxy(doors: list[Serve], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the proxy."""
    folder = tmp_path_factory.mktemp("proxy")
    port = free_port()
    words = [str(TOOLS / "bin" / "nginx"), "-p", str(folder), "-c", str(proxy_config(folder, port, doors))]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
            until("nginx answers", lambda: answers(client, process))
            yield client
    finally:
        process.terminate()
        process.wait(SECONDS)


def answers(client: httpx.Client, process: subprocess.Popen[str]) -> bool:
    assert process.poll() is None, process.stderr and process.stderr.read()
    try:
        return client.get("/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


def create(proxy: httpx.Client) -> str:
    return str(proxy.post("/v2/images", json={"disk_format": "raw", "container_format": "bare"}).json()["id"])


def test_an_image_comes_in_by_the_proxy_and_is_had_from_each_door(proxy: httpx.Client, doors: list[Serve]) -> None:
    image_id = create(proxy)
    assert proxy.put(f"/v2/images/{image_id}/file", content=GOOD, headers=OCTETS).status_code == 204
    assert [door.client.get(f"/v2/images/{image_id}/file").content == GOOD for door in doors] == [True, True]
    assert proxy.get(f"/v2/images/{image_id}/file").content == GOOD


def test_the_proxy_sends_bytes_on_as_they_come(proxy: httpx.Client) -> None:
    image_id = create(proxy)

    def body() -> Iterator[bytes]:
        yield GOOD
        until("a door has the upload", lambda: proxy.get(f"/v2/images/{image_id}").json()["status"] != "queued")
        yield GOOD

    assert proxy.put(f"/v2/images/{image_id}/file", content=body(), headers=OCTETS).status_code == 204


def test_a_refusal_comes_through_the_proxy_with_its_reason(proxy: httpx.Client) -> None:
    answer = proxy.put(f"/v2/images/{create(proxy)}/file", content=BAD, headers=OCTETS)
    assert (answer.status_code, answer.headers["x-douane-code"]) == (422, "bad")


def test_clients_are_sent_to_the_public_endpoint(proxy: httpx.Client) -> None:
    answer = proxy.get("/versions", headers={"X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "http"})
    urls = {link["href"] for version in answer.json()["versions"] for link in version["links"]}
    assert urls
    assert all(url.startswith(f"{PUBLIC}/v2") for url in urls)


def test_metrics_are_had_from_doors_and_not_by_the_proxy(proxy: httpx.Client, doors: list[Serve]) -> None:
    assert proxy.get("/metrics").status_code == 403
    name = 'douane_imports_total{code="",method="upload",outcome="accepted"}'
    counts = {
        line.split()[-1] for door in doors for line in door.client.get("/metrics").text.splitlines() if name in line
    }
    assert len(counts) == 1, "every door counts all imports of the catalog"


def test_a_machine_is_drained_and_takes_imports_again(proxy: httpx.Client, doors: list[Serve]) -> None:
    config = str(doors[0].home.parent / "douane.toml")

    def workers(*words: str) -> str:
        command = [sys.executable, "-m", "douane", "workers", *words, "--config", config]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    workers("drain", "worker")
    assert "drained" in workers()
    image_id = create(proxy)
    with ThreadPoolExecutor(1) as threads:
        try:
            upload = threads.submit(proxy.put, f"/v2/images/{image_id}/file", content=GOOD, headers=OCTETS)
            waiting = 'douane_import_tasks{step="waiting"} 1.0'
            until(
                "the upload waits",
                lambda: all(waiting in door.client.get("/metrics").text.splitlines() for door in doors),
            )
            assert not upload.done()
        finally:
            workers("uncordon", "worker")
        assert upload.result().status_code == 204
    assert "drained" not in workers()
    assert proxy.put(f"/v2/images/{create(proxy)}/file", content=GOOD, headers=OCTETS).status_code == 204


def test_the_site_goes_on_when_a_door_ends(proxy: httpx.Client, doors: list[Serve]) -> None:
    assert doors[0].stop() == 0
    for _ in range(6):
        image_id = create(proxy)
        assert proxy.put(f"/v2/images/{image_id}/file", content=GOOD, headers=OCTETS).status_code == 204
