"""A transform that is bound to a store: raw for the one, as it came for the other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.images.qcow2 import qcow2_of_one_cluster
from support.judged import OCTETS, settled
from support.processes import SECONDS
from support.serve import Serve, serving

DISK_SIZE = 1 << 20
IMAGE = qcow2_of_one_cluster(DISK_SIZE, b"a disk. ")
PLAN = """
[[plugin]]
name = "format"
use = "format"

[[plugin]]
name = "convert"
use = "convert"
stores = ["fast"]

[[plugin]]
name = "only-raw"
use = "format"
stores = ["fast"]
config = { formats = ["raw"] }

[serve.stores.archive]
url = "file:ARCHIVE"
default = true

[serve.stores.fast]
url = "file:FAST"

[serve.stores.spare]
url = "file:SPARE"
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("variants")
    plan = PLAN
    for name in ("archive", "fast", "spare"):
        plan = plan.replace(name.upper(), str(folder / name))
    (folder / "plan.toml").write_text(plan)
    with serving(folder / "home", folder / "plan.toml") as started:
        yield started


def stored(serve: Serve, store: str, image_id: str) -> bytes:
    return (serve.home.parent / store / "images" / image_id).read_bytes()


def staged(serve: Serve) -> str:
    image_id = serve.create(disk_format="qcow2")
    response = serve.client.put(f"/v2/images/{image_id}/stage", content=IMAGE, headers=OCTETS)
    assert response.status_code == 204, response.text
    return image_id


def start_import(serve: Serve, image_id: str, *stores: str, method: str = "glance-direct") -> None:
    body = {"method": {"name": method}, "stores": list(stores)}
    assert serve.client.post(f"/v2/images/{image_id}/import", json=body).status_code == 202


def imported(serve: Serve, *stores: str) -> dict[str, Any]:
    image_id = staged(serve)
    start_import(serve, image_id, *stores)
    image = settled(serve, image_id)
    assert image["status"] == "active", serve.tasks(image_id)
    return image


def is_disk(data: bytes) -> bool:
    return len(data) == DISK_SIZE and data.startswith(b"a disk. ")


def test_one_store_gets_the_image_raw_and_the_other_as_it_came(serve: Serve) -> None:
    image = imported(serve, "fast", "archive")
    assert (image["disk_format"], image["size"], image["stores"]) == ("qcow2", len(IMAGE), "archive,fast")
    assert stored(serve, "archive", image["id"]) == IMAGE
    assert is_disk(stored(serve, "fast", image["id"]))
    variants = json.loads(image["douane_variants"])
    assert list(variants) == ["fast"]
    assert (variants["fast"]["disk_format"], variants["fast"]["size"]) == ("raw", DISK_SIZE)


def test_a_download_is_the_image_itself_whichever_store_is_preferred(serve: Serve) -> None:
    image = imported(serve, "fast", "archive")
    body = httpx.get(f"{serve.url}/v2/images/{image['id']}/file", timeout=SECONDS).content
    assert body == IMAGE


def test_an_image_whose_only_store_is_bound_is_what_the_transform_makes(serve: Serve) -> None:
    image = imported(serve, "fast")
    assert (image["disk_format"], image["size"], image["stores"]) == ("raw", DISK_SIZE, "fast")
    assert "douane_variants" not in image
    assert is_disk(serve.client.get(f"/v2/images/{image['id']}/file").content)


def test_an_image_is_copied_raw_into_the_store_that_is_bound_and_as_it_is_into_another(serve: Serve) -> None:
    image = imported(serve, "archive")
    start_import(serve, image["id"], "fast", "spare", method="copy-image")
    copied = settled(serve, image["id"])
    assert (copied["stores"], copied["size"]) == ("archive,fast,spare", len(IMAGE))
    assert stored(serve, "spare", image["id"]) == IMAGE
    assert is_disk(stored(serve, "fast", image["id"]))
    assert list(json.loads(copied["douane_variants"])) == ["fast"]


def test_the_last_copy_of_the_image_itself_stays(serve: Serve) -> None:
    image = imported(serve, "fast", "archive")
    response = serve.client.delete(f"/v2/stores/archive/{image['id']}")
    assert response.status_code == 403
    assert "fast hold what was made of it" in response.text
    assert serve.client.delete(f"/v2/stores/fast/{image['id']}").status_code == 204
    assert "douane_variants" not in serve.image(image["id"])


def test_an_upload_in_one_request_takes_the_same_way(serve: Serve) -> None:
    image_id = serve.create(disk_format="qcow2")
    headers = {**OCTETS, "X-Image-Meta-Store": "fast"}
    assert serve.client.put(f"/v2/images/{image_id}/file", content=IMAGE, headers=headers).status_code == 204
    assert is_disk(stored(serve, "fast", image_id))
    assert serve.image(image_id)["disk_format"] == "raw"


def test_what_an_inspector_of_the_variant_refuses_is_not_imported(serve: Serve, tmp_path: Path) -> None:
    plan = (serve.home.parent / "plan.toml").read_text().replace(str(serve.home.parent), str(tmp_path))
    (tmp_path / "plan.toml").write_text(plan.replace('["raw"]', '["vmdk"]'))
    with serving(tmp_path / "home", tmp_path / "plan.toml") as strict:
        image_id = staged(strict)
        start_import(strict, image_id, "fast", "archive")
        image = settled(strict, image_id)
        assert (image["status"], image["douane_code"]) == ("queued", "format-not-allowed")
        assert not list(tmp_path.glob("*/images/*")) + list(tmp_path.glob("*/staging/*"))
        other = staged(strict)
        start_import(strict, other, "archive")
        assert settled(strict, other)["status"] == "active"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {'stores = ["fast"]\nconfig': 'stores = ["spare"]\nconfig'},
            "put it after a transform that is bound",
        ),
        ({'stores = ["fast"]': 'stores = ["gone"]'}, "is bound to the store 'gone', which is not configured"),
        ({'name = "format"\nuse = "format"': 'name = "format"\nuse = "format"\nstores = ["fast"]'}, "every plugin has"),
    ],
)
def test_a_binding_that_cannot_hold_ends_the_start(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    plan = PLAN
    for before, after in changes.items():
        assert before in plan
        plan = plan.replace(before, after)
    (tmp_path / "plan.toml").write_text(plan)
    words = ["serve", "--home", str(tmp_path / "home"), "--config", str(tmp_path / "plan.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "douane", *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
