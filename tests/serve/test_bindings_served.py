"""Transforms for some stores together with other bindings, with images without a byte, and with a plan that changes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.images.qcow2 import qcow2_of_one_cluster
from support.judged import OCTETS, settled
from support.serve import Serve, serving
from support.waiting import until

DISK_SIZE = 1 << 20
IMAGE = qcow2_of_one_cluster(DISK_SIZE, b"a disk. ")
DISK = b"a disk. " * (DISK_SIZE // 8)
PLAN = """
[[plugin]]
name = "format"
use = "format"

[[plugin]]
name = "convert"
use = "convert"
stores = ["fast"]
only = "import"

[[plugin]]
name = "only-raw"
use = "format"
stores = ["fast"]
config = { formats = ["raw"] }

[serve]
workers = 1

[serve.stores.archive]
url = "file:FOLDER/archive"
default = true

[serve.stores.fast]
url = "file:FOLDER/fast"
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("bindings")
    write_plan(folder, PLAN)
    with serving(folder / "home", folder / "plan.toml") as started:
        yield started


def write_plan(folder: Path, plan: str) -> None:
    (folder / "plan.toml").write_text(plan.replace("FOLDER", str(folder)))


def upload(serve: Serve, disk_format: str, data: bytes, store: str = "fast") -> tuple[str, int]:
    image_id = serve.create(disk_format=disk_format)
    headers = {**OCTETS, "X-Image-Meta-Store": store}
    return image_id, serve.client.put(f"/v2/images/{image_id}/file", content=data, headers=headers).status_code


def staged(serve: Serve) -> str:
    image_id = serve.create(disk_format="qcow2")
    assert serve.client.put(f"/v2/images/{image_id}/stage", content=IMAGE, headers=OCTETS).status_code == 204
    return image_id


def start_import(serve: Serve, image_id: str, *stores: str, method: str = "glance-direct") -> None:
    body = {"method": {"name": method}, "stores": list(stores)}
    response = serve.client.post(f"/v2/images/{image_id}/import", json=body)
    assert response.status_code == 202, response.text


def stored(serve: Serve, store: str, image_id: str) -> bytes:
    return (serve.home.parent / store / "images" / image_id).read_bytes()


def test_the_inspector_of_a_store_sees_an_image_that_the_transform_is_not_for(serve: Serve) -> None:
    image_id, status = upload(serve, "raw", DISK)
    assert (status, stored(serve, "fast", image_id)) == (204, DISK)
    image_id, status = upload(serve, "qcow2", IMAGE)
    assert 400 <= status < 500
    assert serve.image(image_id)["douane_code"] == "format-not-allowed"


def test_an_image_without_a_byte_goes_into_a_store_with_a_transform(serve: Serve) -> None:
    image_id, status = upload(serve, "raw", b"")
    assert (status, serve.image(image_id)["size"], stored(serve, "fast", image_id)) == (204, 0, b"")


def test_an_image_without_a_byte_is_copied_into_a_store_with_a_transform(serve: Serve) -> None:
    image_id, status = upload(serve, "raw", b"", "archive")
    assert status == 204
    start_import(serve, image_id, "fast", method="copy-image")
    image = settled(serve, image_id)
    assert (image["status"], image["size"]) == ("active", 0)
    assert image["stores"] == "archive,fast"
    assert stored(serve, "fast", image_id) == b""


@pytest.mark.parametrize("was_bound", [True, False], ids=["bound", "unbound"])
def test_staged_bytes_follow_the_plan_at_the_time_of_their_import(tmp_path: Path, was_bound: bool) -> None:
    bound = PLAN.replace('only = "import"\n', "")
    unbound = bound.replace('stores = ["fast"]\n', "")
    before, after = (bound, unbound) if was_bound else (unbound, bound)
    write_plan(tmp_path, before)
    with serving(tmp_path / "home", tmp_path / "plan.toml") as serve:
        image_id = staged(serve)
        write_plan(tmp_path, after)
        serve.process.send_signal(signal.SIGHUP)
        until("the plan was read again", lambda: b"was read again" in serve.log.read_bytes())
        start_import(serve, image_id, "archive", "fast")
        image = settled(serve, image_id)
        assert image["status"] == "active", serve.tasks(image_id)
        assert (stored(serve, "archive", image_id), stored(serve, "fast", image_id)) == (DISK, DISK)
        assert image["disk_format"] == "raw"


def test_staged_bytes_that_a_transform_has_changed_go_into_a_store_with_another(tmp_path: Path) -> None:
    convert = PLAN.replace('stores = ["fast"]\nonly = "import"\n', "")
    again = convert.replace(
        'name = "only-raw"', 'name = "again"\nuse = "convert"\nstores = ["fast"]\n[[plugin]]\nname = "only-raw"'
    )
    write_plan(tmp_path, again)
    with serving(tmp_path / "home", tmp_path / "plan.toml") as serve:
        image_id = staged(serve)
        start_import(serve, image_id, "fast")
        image = settled(serve, image_id)
        assert (image["status"], image["disk_format"]) == ("active", "raw"), serve.tasks(image_id)
        assert stored(serve, "fast", image_id) == DISK
