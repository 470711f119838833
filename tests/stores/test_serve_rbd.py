"""`douane serve` with a folder and a pool of Ceph: what users of the cloud see, also when parts die."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from support.judged import OCTETS, settled
from support.processes import SECONDS
from support.serve import Serve, serving
from support.waiting import until

from .conftest import Pool

pytestmark = [pytest.mark.stores, pytest.mark.xdist_group("ceph")]

MiB = 1 << 20
DISK_SIZE = 64 * MiB
DATA = bytes(range(256)) * 40_000
PLAN = """
[[plugin]]
name = "format"
use = "format"

[[plugin]]
name = "convert"
use = "convert"
stores = ["ceph"]

[serve]
workers = 2
client_timeout = "20s"
staged_expiry = "20s"

[serve.stores.archive]
url = "file:ARCHIVE"
default = true

[serve.stores.ceph]
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("serve-rbd")
    (folder / "plan.toml").write_text(PLAN.replace("ARCHIVE", str(folder / "archive")) + pool.settings())
    with serving(folder / "home", folder / "plan.toml") as started:
        yield started


def put(serve: Serve, data: bytes, store: str, **fields: str) -> tuple[str, httpx.Response]:
    image_id = serve.create(**fields)
    headers = {**OCTETS, "X-Image-Meta-Store": store}
    return image_id, serve.client.put(f"/v2/images/{image_id}/file", content=data, headers=headers)


def uploaded(serve: Serve, data: bytes = DATA, **fields: str) -> str:
    image_id, response = put(serve, data, "ceph", **fields)
    assert response.status_code == 204, response.text + serve.log.read_text()
    return image_id


def sparse_qcow2(folder: Path) -> bytes:
    """A disk of `DISK_SIZE` bytes with 8,000 bytes at its beginning."""
    raw, qcow2 = folder / "disk.raw", folder / "disk.qcow2"
    raw.write_bytes(b"a disk. " * 1000)
    os.truncate(raw, DISK_SIZE)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(qcow2)], check=True, timeout=60)
    return qcow2.read_bytes()


def fsck(serve: Serve, *options: str) -> tuple[int, list[dict[str, Any]]]:
    words = ["fsck", "--home", str(serve.home), "--config", str(serve.home.parent / "plan.toml"), "--json", *options]
    process = subprocess.run(
        [sys.executable, "-m", "douane", *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return process.returncode, json.loads(process.stdout)["faults"]


def test_an_image_is_raw_in_the_pool_and_a_server_can_be_cloned_from_it(
    serve: Serve, pool: Pool, tmp_path: Path
) -> None:
    image_id, qcow2 = serve.create(disk_format="qcow2"), sparse_qcow2(tmp_path)
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=qcow2, headers=OCTETS).status_code == 204
    body = {"method": {"name": "glance-direct"}, "stores": ["archive", "ceph"]}
    assert serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202
    image = settled(serve, image_id)
    assert (image["status"], image["disk_format"], image["stores"]) == ("active", "qcow2", "archive,ceph")
    assert json.loads(image["douane_variants"])["ceph"]["disk_format"] == "raw"
    pool.ceph.rbd("clone", f"{pool.name}/{image_id}@snap", f"{pool.name}/disk-of-a-server")
    disk = pool.save("disk-of-a-server", tmp_path)
    assert disk == b"a disk. " * 1000 + bytes(DISK_SIZE - 8000)
    rows = json.loads(pool.rbd("du", f"{image_id}@snap", "--format", "json"))["images"]
    assert 0 < max(row["used_size"] for row in rows if row.get("snapshot")) <= 8 * MiB
    assert serve.client.get(f"/v2/images/{image_id}/file").content == qcow2

    refused = serve.client.delete(f"/v2/images/{image_id}")
    assert refused.status_code == 409
    assert "clones of it" in refused.text
    assert serve.client.delete(f"/v2/stores/ceph/{image_id}").status_code == 409
    assert serve.image(image_id)["status"] == "active"
    assert pool.store.clones(image_id) == 1
    pool.rbd("rm", "disk-of-a-server", "--no-progress")
    assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    assert image_id not in pool.names()


def test_an_image_in_the_pool_is_downloaded_whole_and_in_parts(serve: Serve) -> None:
    image_id = uploaded(serve)
    path = f"/v2/images/{image_id}/file"
    assert serve.client.get(path).content == DATA
    for part in ("bytes=0-0", "bytes=8388600-8388700", "bytes=-5", "bytes=100-"):
        first, _, last = part.removeprefix("bytes=").partition("-")
        expected = DATA[int(first) : int(last) + 1 if last else None] if first else DATA[-int(last) :]
        response = serve.client.get(path, headers={"Range": part})
        assert (response.status_code, response.content) == (206, expected)
    stores = serve.client.get("/v2/info/stores/detail").json()["stores"]
    assert next(store for store in stores if store["id"] == "ceph")["properties"] == {"pool": "test-serve-rbd"}


def test_many_downloads_at_once_have_the_same_bytes(serve: Serve) -> None:
    image_id = uploaded(serve)
    bodies: list[bytes] = []

    def download() -> None:
        bodies.append(httpx.get(f"{serve.url}/v2/images/{image_id}/file", timeout=SECONDS).content)

    threads = [threading.Thread(target=download) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert [body == DATA for body in bodies] == [True] * 6


def test_fsck_reads_the_pool(serve: Serve, pool: Pool) -> None:
    image_id, second_id = uploaded(serve), uploaded(serve)
    assert fsck(serve, "--digests") == (0, [])
    pool.ceph.rbd("snap", "unprotect", f"{pool.name}/{image_id}@snap")
    pool.ceph.rbd("snap", "purge", "--no-progress", f"{pool.name}/{image_id}")
    pool.rbd("rm", image_id, "--no-progress")
    code, faults = fsck(serve)
    assert (code, [(fault["code"], fault["image"]) for fault in faults]) == (1, [("bytes-missing", image_id)])
    for deleted_id in (image_id, second_id):
        assert serve.client.delete(f"/v2/images/{deleted_id}").status_code == 204
    assert fsck(serve) == (0, [])


def slowly(began: threading.Event, goes_on: threading.Event) -> Iterator[bytes]:
    for number in range(30):
        if number == 20:
            began.set()
            goes_on.wait(SECONDS)
        yield DATA[:MiB]


def upload_in_two_halves(serve: Serve, between: Any) -> tuple[str, int]:
    """Upload to the pool, with something done in the middle; the id and the status, 0 if the connection broke."""
    began, goes_on = threading.Event(), threading.Event()
    image_id = serve.create()
    statuses: list[int] = []

    def upload() -> None:
        headers = {**OCTETS, "X-Image-Meta-Store": "ceph"}
        try:
            url = f"{serve.url}/v2/images/{image_id}/file"
            statuses.append(
                httpx.put(url, content=slowly(began, goes_on), headers=headers, timeout=SECONDS).status_code
            )
        except httpx.TransportError:
            statuses.append(0)

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        assert began.wait(SECONDS)
        between()
    finally:
        goes_on.set()
        thread.join(SECONDS)
    return image_id, statuses[0]


def _helpers_of_workers(serve: Serve) -> list[psutil.Process]:
    helpers = []
    for process in serve.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # a plugin of an image before
            if process.cmdline()[-2].endswith("helper.py") and "douane.imports.worker" in process.parent().cmdline():
                helpers.append(process)
    return helpers


def _staged(pool: Pool) -> list[str]:
    return [name for name in pool.names() if name.startswith("staging-")]


def test_a_worker_that_is_killed_in_the_middle_of_an_upload_leaves_nothing(serve: Serve, pool: Pool) -> None:
    helpers: list[psutil.Process] = []

    def kill() -> None:
        until("the upload is in the pool", lambda: _staged(pool))
        helpers.extend(_helpers_of_workers(serve))
        serve.kill("douane.imports.worker")

    image_id, status = upload_in_two_halves(serve, kill)
    assert status == 500  # and not 503, after which clients repeat a request whose file is at its end
    assert serve.image(image_id)["status"] in ("queued", "saving", "importing")
    assert helpers
    psutil.wait_procs(helpers, timeout=SECONDS)
    assert not [helper for helper in helpers if helper.is_running()]
    until("nothing is staged", lambda: not _staged(pool))
    until("the image is free", lambda: serve.image(image_id)["status"] == "queued")
    assert serve.client.get(f"/v2/images/{uploaded(serve)}/file").content == DATA


def test_an_osd_that_is_killed_in_the_middle_fails_the_upload_within_its_clocks(serve: Serve, pool: Pool) -> None:
    present = uploaded(serve)

    def stop() -> None:
        until("the upload is in the pool", lambda: _staged(pool))
        pool.ceph.stop("osd")

    try:
        image_id, status = upload_in_two_halves(serve, stop)
        assert status == 500
        assert serve.client.get("/healthcheck").status_code == 200
        assert serve.client.get(f"/v2/images/{present}/file").status_code == 503
        assert serve.client.delete(f"/v2/images/{present}").status_code == 503
        assert put(serve, DATA, "archive")[1].status_code == 204
    finally:
        pool.ceph.start_osd()
    assert settled(serve, image_id)["status"] == "queued"
    until("the pool takes images again", lambda: put(serve, DATA, "ceph")[1].status_code == 204)
    assert serve.client.get(f"/v2/images/{present}/file").content == DATA
    until("nothing is staged", lambda: not _staged(pool))
    assert fsck(serve, "--digests") == (0, [])
