"""`douane serve` with an object store: uploads, imports, downloads and deletions; workers and the server that die."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.breaking_proxy import BreakingProxy
from support.fake_keystone import FakeKeystone
from support.images.qcow2 import qcow2_of_one_cluster
from support.judged import OCTETS, settled
from support.serve import Serve, serving
from support.store_places import S3Place
from support.waiting import until

pytestmark = pytest.mark.only_stores(lambda kind: kind.server == "s3-ceph")

MiB = 1 << 20
DATA = random.Random(5).randbytes(20 * MiB) + bytes(20 * MiB) + b"end"
DISK = qcow2_of_one_cluster(1 << 20, b"a disk. ")
WORKER = "douane.imports.worker"
RANDOM = '[[plugin]]\nname = "qemu"\nuse = "qemu-info"\n'


def write_config(folder: Path, place: S3Place, plugins: str = "", settings: str = "", further: str = "") -> Path:
    """An object store, the default, and a file store."""
    options = "".join(f"{name} = {json.dumps(value)}\n" for name, value in place.options().items())
    (folder / "douane.toml").write_text(
        f'[[plugin]]\nname = "format"\nuse = "format"\n{plugins}[serve]\n{settings}\n'
        f'[serve.stores.objects]\nurl = "{place.url}"\ndefault = true\n{options}'
        f'[serve.stores.files]\nurl = "file:{folder}/files"\n{further}'
    )
    return folder / "douane.toml"


@pytest.fixture
def serve(place: S3Place, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Serve]:
    with serving(tmp_path / "home", write_config(tmp_path, place, *getattr(request, "param", ()))) as started:
        yield started


def upload(serve: Serve, data: bytes = DATA, **fields: str) -> str:
    image_id = serve.create(**fields)
    answer = serve.client.put(f"/v2/images/{image_id}/file", content=data, headers=OCTETS)
    assert answer.status_code == 204, answer.text
    return image_id


def stage_and_import(serve: Serve, *stores: str, data: bytes = DATA) -> str:
    image_id = serve.create()
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=data, headers=OCTETS).status_code == 204
    body = {"method": {"name": "glance-direct"}, "stores": list(stores)}
    assert serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202
    settled(serve, image_id)
    return image_id


def download(serve: Serve, image_id: str, **params: str) -> bytes:
    return serve.client.get(f"/v2/images/{image_id}/file", params=params).content


def test_an_image_comes_back_whole_and_in_parts_and_goes(place: S3Place, serve: Serve) -> None:
    image_id = upload(serve)
    image = serve.image(image_id)
    assert (image["status"], image["stores"], image["size"]) == ("active", "objects", len(DATA))
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert download(serve, image_id) == DATA
    for start, stop in ((0, 0), (20 * MiB - 7, 21 * MiB), (len(DATA) - 2, len(DATA) - 1)):
        answer = serve.client.get(f"/v2/images/{image_id}/file", headers={"Range": f"bytes={start}-{stop}"})
        assert answer.status_code == 206
        assert answer.content == DATA[start : stop + 1]
    assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    until("nothing is left", lambda: place.leftovers() == [])


def test_one_read_goes_into_both_stores_and_copies_go_either_way(place: S3Place, serve: Serve) -> None:
    image_id = stage_and_import(serve, "objects", "files")
    assert serve.image(image_id)["stores"] == "files,objects"
    assert {download(serve, image_id, prefer=store) for store in ("files", "objects")} == {DATA}
    for only, target in (("objects", "files"), ("files", "objects")):
        single = stage_and_import(serve, only)
        copy = {"method": {"name": "copy-image"}, "stores": [target]}
        assert serve.client.post(f"/v2/images/{single}/import", json=copy).status_code == 202
        until("the copy is there", lambda single=single: serve.image(single)["stores"] == "files,objects")
        assert {download(serve, single, prefer=store) for store in ("files", "objects")} == {DATA}
        assert serve.client.delete(f"/v2/images/{single}").status_code == 204
    assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    until("nothing is left", lambda: place.leftovers() == [])


@pytest.mark.parametrize("serve", [(RANDOM,)], indirect=True)
def test_a_plugin_that_reads_at_random_has_a_file_all_the_same(place: S3Place, serve: Serve) -> None:
    image_id = upload(serve, DISK, disk_format="qcow2")
    assert download(serve, image_id) == DISK


@pytest.mark.parametrize(
    "serve", [('[[plugin]]\nname = "convert"\nuse = "convert"\nstores = ["files"]\n',)], indirect=True
)
def test_a_variant_is_made_of_what_lies_in_the_object_store(place: S3Place, serve: Serve) -> None:
    image_id = serve.create(disk_format="qcow2")
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=DISK, headers=OCTETS).status_code == 204
    body = {"method": {"name": "glance-direct"}, "stores": ["objects", "files"]}
    assert serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202
    assert settled(serve, image_id)["stores"] == "files,objects"
    assert download(serve, image_id) == DISK
    assert (serve.home.parent / "files" / "images" / image_id).read_bytes()[:4] != DISK[:4]


@pytest.mark.parametrize("serve", [("", 'stage_stores = "all"')], indirect=True)
def test_bytes_that_are_staged_everywhere_are_published_at_once(place: S3Place, serve: Serve) -> None:
    image_id = serve.create()
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=DATA, headers=OCTETS).status_code == 204
    body = {"method": {"name": "glance-direct"}, "stores": ["objects", "files"]}
    assert serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202
    image = serve.image(image_id)
    assert (image["status"], image["stores"]) == ("active", "files,objects")
    assert download(serve, image_id, prefer="objects") == DATA


@pytest.mark.parametrize("serve", [("", "workers = 1")], indirect=True)
def test_an_upload_that_waits_for_a_worker_is_spooled_in_the_object_store(place: S3Place, serve: Serve) -> None:
    go_on = threading.Event()

    def halting() -> Iterator[bytes]:
        yield DATA[: 10 * MiB]
        go_on.wait()
        yield DATA[10 * MiB :]

    first, second = serve.create(), serve.create()
    statuses: dict[str, int] = {}

    def put(image_id: str, content: Iterator[bytes] | bytes) -> None:
        path = f"{serve.url}/v2/images/{image_id}/file"
        statuses[image_id] = httpx.put(path, content=content, headers=OCTETS, timeout=300).status_code

    threads = [threading.Thread(target=put, args=(first, halting()))]
    threads[0].start()
    until("the only worker is busy", lambda: any("/staging/" in name for name in place.leftovers()))
    threads.append(threading.Thread(target=put, args=(second, DATA)))
    threads[1].start()
    until("the second upload is spooled", lambda: any("/data/" in name for name in place.leftovers()))
    go_on.set()
    for thread in threads:
        thread.join()
    assert statuses == {first: 204, second: 204}
    assert download(serve, first) == download(serve, second) == DATA
    for image_id in (first, second):
        serve.client.delete(f"/v2/images/{image_id}")
    until("nothing is left", lambda: place.leftovers() == [])


def test_an_upload_over_a_line_that_breaks_continues_in_the_object_store(
    place: S3Place, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "disk.raw").write_bytes(DATA)
    proxy = BreakingProxy(serve.address, [12 * MiB, 25 * MiB, 33 * MiB])
    words = [sys.executable, "-m", "douane", "upload", str(tmp_path / "disk.raw"), "--url", proxy.url]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    proxy.close()
    assert ended.returncode == 0, ended.stderr
    assert proxy.broken == 3
    image_id = ended.stdout.strip()
    assert download(serve, image_id) == DATA
    assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    until("nothing is left", lambda: place.leftovers() == [] and place.unfinished_uploads() == 0)


def half(serve: Serve, image_id: str, arrived: threading.Event, go_on: threading.Event) -> threading.Thread:
    """An upload that stops in the middle until `go_on`."""

    def content() -> Iterator[bytes]:
        for number in range(18):
            yield DATA[number * MiB : (number + 1) * MiB]
        arrived.set()
        go_on.wait()
        yield DATA[18 * MiB :]

    def put() -> None:
        try:
            httpx.put(f"{serve.url}/v2/images/{image_id}/stage", content=content(), headers=OCTETS, timeout=300)
        except httpx.HTTPError:
            return  # the service answers before the end, and closes

    thread = threading.Thread(target=put)
    thread.start()
    return thread


def test_a_worker_that_is_killed_in_the_middle_of_an_upload_leaves_nothing(place: S3Place, serve: Serve) -> None:
    serve.client.delete(f"/v2/images/{upload(serve)}")  # a worker is there: before, a door keeps uploads in a file
    until("nothing is left", lambda: place.leftovers() == [])
    image_id, arrived, go_on = serve.create(), threading.Event(), threading.Event()
    thread = half(serve, image_id, arrived, go_on)
    assert arrived.wait(300)
    until("its bytes are staged", lambda: any("/staging/" in name for name in place.leftovers()))
    serve.kill(WORKER)
    go_on.set()
    thread.join()
    until("the image can be uploaded again", lambda: serve.image(image_id)["status"] == "queued")
    until("nothing is left", lambda: place.leftovers() == [] and place.unfinished_uploads() == 0)
    assert serve.client.put(f"/v2/images/{image_id}/file", content=DATA, headers=OCTETS).status_code == 204
    assert download(serve, image_id) == DATA


def test_a_server_that_goes_away_fails_the_upload_and_comes_back(place: S3Place, serve: Serve) -> None:
    kept_id = upload(serve)
    image_id, arrived, go_on = serve.create(), threading.Event(), threading.Event()
    thread = half(serve, image_id, arrived, go_on)
    assert arrived.wait(300)
    with place.away():
        go_on.set()
        thread.join()
        until("the image can be uploaded again", lambda: serve.image(image_id)["status"] == "queued")
        assert serve.client.get(f"/v2/images/{kept_id}/file").status_code == 503
    assert "does not answer" in serve.log.read_text()
    assert download(serve, kept_id) == DATA
    assert serve.client.put(f"/v2/images/{image_id}/file", content=DATA, headers=OCTETS).status_code == 204
    assert download(serve, image_id) == DATA
    for deleted_id in (kept_id, image_id):
        serve.client.delete(f"/v2/images/{deleted_id}")
    until("nothing is left", lambda: place.leftovers() == [] and place.unfinished_uploads() == 0)


def test_credentials_are_in_no_log_and_in_no_catalog(place: S3Place, serve: Serve) -> None:
    upload(serve)
    with place.away():
        image_id = serve.create()
        assert serve.client.put(f"/v2/images/{image_id}/file", content=DATA, headers=OCTETS).status_code >= 400
    assert serve.stop() == 0
    account = place.s3.account
    with sqlite3.connect(serve.home / "catalog.sqlite3") as catalog:
        text = serve.log.read_text() + "\n".join(catalog.iterdump())
    assert "AbortIncompleteMultipartUpload" in text, "the service warns at its start"
    assert account.secret_key not in text
    assert account.access_key not in text


def test_an_object_that_a_service_wrote_is_registered_by_its_url(place: S3Place, tmp_path: Path) -> None:
    keystone = FakeKeystone()
    keystone.add("user", "u1", "p1", "member", "reader")
    keystone.add("nova", "nova", "service", "service")
    (tmp_path / "password").write_text("secret")
    further = (
        f'[serve.keystone]\nauth_url = "{keystone.url}"\nusername = "douane"\npassword_file = "{tmp_path}/password"\n'
    )
    user = {"X-Auth-Token": "user"}
    nova = {**user, "X-Service-Token": "nova"}
    config = write_config(tmp_path, place, further=further)
    try:
        with serving(tmp_path / "home", config) as serve:
            url = place.put_foreign("from-nova.img", DATA[:MiB])
            body = {"name": "n", "disk_format": "raw", "container_format": "bare"}
            image_id = serve.client.post("/v2/images", json=body, headers=user).json()["id"]
            path = f"/v2/images/{image_id}"
            assert serve.client.post(f"{path}/locations", json={"url": url}, headers=nova).status_code == 202
            until("it is active", lambda: serve.client.get(path, headers=user).json()["status"] == "active")
            assert serve.client.get(f"{path}/file", headers=user).content == DATA[:MiB]
            locations = serve.client.get(f"{path}/locations", headers=nova).json()
            assert [location["metadata"] for location in locations] == [{"store": "objects"}]
            assert locations[0]["url"].startswith(f"{place.url}/data/")
    finally:
        keystone.stop()
