"""A backup that is made while images come in, and restored elsewhere: no active image without its bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.deploy.backup import Backup, SqliteBackup, backup_of, command
from support.judged import OCTETS
from support.processes import SECONDS
from support.serve import Serve, serving
from support.waiting import until

pytestmark = pytest.mark.deploy

COUNT = 4
"""Images before the backup, and at least as many beside it."""


def write_config(folder: Path, database: str) -> Path:
    line = f'database = "{database}"\n' if database else ""
    path = folder / "douane.toml"
    path.write_text(
        f'[[plugin]]\nname = "format"\nuse = "format"\n[serve]\nworkers = 2\n{line}'
        f'[serve.stores.images]\nurl = "file:{folder}/images"\ndefault = true\n'
    )
    return path


class Uploads:
    """Images that come in one after the other until it is stopped."""

    def __init__(self, serve: Serve) -> None:
        self.digests: dict[str, str] = {}
        self._serve = serve
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with httpx.Client(base_url=self._serve.url, timeout=SECONDS) as client:
            while not self._stopping.is_set():
                data = os.urandom(1 << 16) * 16
                image = {"disk_format": "raw", "container_format": "bare"}
                image_id = client.post("/v2/images", json=image).json()["id"]
                if client.put(f"/v2/images/{image_id}/file", content=data, headers=OCTETS).status_code == 204:
                    self.digests[image_id] = hashlib.sha512(data).hexdigest()

    def wait_for(self, count: int) -> None:
        """Wait until so many images are active."""
        until(f"{count} images are active", lambda: len(self.digests) >= count or not self._thread.is_alive())
        assert self._thread.is_alive()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


def copy_store(source: Path, target: Path) -> None:
    """The copy of docs/machines.md: what is staged is not part of a backup."""
    command("rsync", "--archive", "--exclude=/staging/*", f"{source}/", f"{target}/")


def faults(home: Path, config: Path) -> list[dict[str, Any]]:
    """What `douane fsck` finds, with all bytes read."""
    words = [
        sys.executable,
        "-m",
        "douane",
        "fsck",
        "--home",
        str(home),
        "--config",
        str(config),
        "--digests",
        "--json",
    ]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    listed: list[dict[str, Any]] = json.loads(ended.stdout)["faults"]
    return listed


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def backup(request: pytest.FixtureRequest) -> Iterator[Backup]:
    with backup_of(request.param) as commands:
        yield commands


def test_a_backup_beside_imports_has_the_bytes_of_every_active_image(backup: Backup, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    site.mkdir()
    elsewhere.mkdir()
    with serving(site / "home", write_config(site, backup.database)) as serve:
        uploads = Uploads(serve)
        try:
            uploads.wait_for(COUNT)
            in_backup = dict(uploads.digests)
            backup.dump(site / "home", tmp_path / "dump")  # the catalog first
            uploads.wait_for(len(in_backup) + COUNT)
            copy_store(site / "images", elsewhere / "images")
        finally:
            uploads.stop()
    config = write_config(elsewhere, backup.restore(tmp_path / "dump", elsewhere / "home"))
    listed = faults(elsewhere / "home", config)
    # Images that came after the dump have bytes that the catalog does not know. No fault says that bytes are missing.
    assert [fault for fault in listed if fault["code"].startswith(("bytes-", "no-copies"))] == []
    assert not {fault["image"] for fault in listed if fault["code"] == "image-unknown"} & set(in_backup)
    with serving(elsewhere / "home", config) as serve:
        active = [image["id"] for image in serve.client.get("/v2/images?limit=1000&status=active").json()["images"]]
        assert set(in_backup) <= set(active)
        for image_id in active:
            data = serve.client.get(f"/v2/images/{image_id}/file").content
            assert hashlib.sha512(data).hexdigest() == uploads.digests[image_id]
        image_id = serve.create()
        assert serve.client.put(f"/v2/images/{image_id}/file", content=b"new", headers=OCTETS).status_code == 204


def test_a_backup_of_the_stores_before_the_catalog_lacks_bytes_and_fsck_says_whose(tmp_path: Path) -> None:
    site, elsewhere, backup = tmp_path / "site", tmp_path / "elsewhere", SqliteBackup()
    site.mkdir()
    elsewhere.mkdir()
    with serving(site / "home", write_config(site, "")) as serve:
        first = serve.create()
        serve.client.put(f"/v2/images/{first}/file", content=b"first", headers=OCTETS)
        copy_store(site / "images", elsewhere / "images")
        late = serve.create()
        assert serve.client.put(f"/v2/images/{late}/file", content=b"late", headers=OCTETS).status_code == 204
        backup.dump(site / "home", tmp_path / "dump")
    backup.restore(tmp_path / "dump", elsewhere / "home")
    listed = faults(elsewhere / "home", write_config(elsewhere, ""))
    assert [(fault["code"], fault["image"]) for fault in listed] == [("bytes-missing", late)]
