"""`douane fsck` beside a running service, and what it says of damages."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.judged import OCTETS, settled, write_config
from support.processes import SECONDS
from support.serve import Serve, serving

DATA = bytes(range(256)) * 4096


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with serving(tmp_path / "home", write_config(tmp_path)) as started:
        yield started


def fsck(serve: Serve, *options: str) -> tuple[int, dict[str, Any]]:
    words = ["fsck", "--home", str(serve.home), "--config", str(serve.home.parent / "douane.toml"), "--json", *options]
    process = subprocess.run(
        [sys.executable, "-m", "douane", *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert process.stdout, process.stderr
    return process.returncode, json.loads(process.stdout)


def upload(serve: Serve) -> str:
    image_id = serve.create()
    response = serve.client.put(f"/v2/images/{image_id}/file", content=DATA, headers=OCTETS)
    assert response.status_code == 204, response.text
    return image_id


def test_images_that_come_and_go_meanwhile_are_no_faults(serve: Serve) -> None:
    stays = upload(serve)
    is_over = threading.Event()
    rounds = 0

    def come_and_go() -> None:
        nonlocal rounds
        while not is_over.is_set():
            image_id = upload(serve)
            copy = {"method": {"name": "copy-image"}, "stores": ["b"]}
            serve.client.post(f"/v2/images/{image_id}/import", json=copy)
            settled(serve, image_id)
            serve.client.delete(f"/v2/images/{image_id}")
            rounds += 1

    coming = threading.Thread(target=come_and_go)
    coming.start()
    try:
        results = [fsck(serve, *options) for options in (("--digests",), ("--repair",), ("--digests", "--repair"))]
    finally:
        is_over.set()
        coming.join(SECONDS)
    faults = [fault for _, result in results for fault in result["faults"]]
    # On a busy machine a door may take longer to delete the bytes than fsck waits between its two looks.
    assert {fault["code"] for fault in faults} <= {"copy-of-deleted"}
    assert rounds > 0
    assert serve.client.get(f"/v2/images/{stays}/file").content == DATA


def test_a_damaged_copy_is_forgotten_and_copied_again(serve: Serve) -> None:
    image_id, second_id = upload(serve), upload(serve)
    copy = {"method": {"name": "copy-image"}, "stores": ["b"]}
    for copied_id in (image_id, second_id):
        assert serve.client.post(f"/v2/images/{copied_id}/import", json=copy).status_code == 202
        settled(serve, copied_id)
    (serve.home.parent / "store-b" / "images" / image_id).unlink()
    code, result = fsck(serve)
    assert (code, [fault["code"] for fault in result["faults"]]) == (1, ["bytes-missing"])
    assert serve.image(image_id)["stores"] == "a,b"
    code, result = fsck(serve, "--repair")
    assert (code, [fault["repaired"] for fault in result["faults"]]) == (0, [True])
    assert serve.image(image_id)["stores"] == "a"
    assert serve.client.post(f"/v2/images/{image_id}/import", json=copy).status_code == 202
    assert settled(serve, image_id)["stores"] == "a,b"
    assert fsck(serve, "--digests")[0] == 0


def test_a_store_that_is_away_ends_with_another_code(serve: Serve) -> None:
    upload(serve)
    (serve.home.parent / "store-a").rename(serve.home.parent / "disk")
    code, result = fsck(serve)
    assert (code, [fault["code"] for fault in result["faults"]]) == (3, ["store-away"])


def test_a_home_without_a_catalog_is_refused_and_not_made(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "douane", "fsck", "--home", str(tmp_path / "none")]
    process = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert "has no catalog" in process.stderr
    assert not (tmp_path / "none").exists()
