"""A store whose disk is not mounted while the service runs, and when it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.judged import OCTETS, settled, write_config
from support.processes import SECONDS
from support.serve import Serve, serving

DATA = bytes(range(256)) * 4096


def upload(serve: Serve) -> tuple[str, int]:
    image_id = serve.create()
    return image_id, serve.client.put(f"/v2/images/{image_id}/file", content=DATA, headers=OCTETS).status_code


def test_images_wait_for_a_store_that_is_away(tmp_path: Path) -> None:
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id, status = upload(serve)
        assert status == 204
        (tmp_path / "store-a").rename(tmp_path / "disk")
        (tmp_path / "store-a").mkdir()
        other, status = upload(serve)
        assert status == 500
        assert serve.image(other)["status"] == "queued"
        assert serve.client.get(f"/v2/images/{image_id}/file").status_code == 503
        assert list((tmp_path / "store-a").iterdir()) == []
        assert "store-a/images is gone: is its disk mounted?" in serve.log.read_text()
        (tmp_path / "store-a").rmdir()
        (tmp_path / "disk").rename(tmp_path / "store-a")
        assert serve.client.get(f"/v2/images/{image_id}/file").content == DATA
        assert serve.client.put(f"/v2/images/{other}/file", content=DATA, headers=OCTETS).status_code == 204


def test_a_service_does_not_make_a_default_store_anew_that_had_images(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with serving(tmp_path / "home", config) as serve:
        assert upload(serve)[1] == 204
    (tmp_path / "store-a").rename(tmp_path / "disk")
    words = ["serve", "--home", str(tmp_path / "home"), "--config", str(config), "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [sys.executable, "-m", "douane", *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "is gone: is its disk mounted?" in done.stderr
    assert not (tmp_path / "store-a").exists()


def test_a_further_store_that_is_away_keeps_no_image_from_the_others(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with serving(tmp_path / "home", config) as serve:
        image_id, _ = upload(serve)
        copy = {"method": {"name": "copy-image"}, "stores": ["b"]}
        serve.client.post(f"/v2/images/{image_id}/import", json=copy)
        assert settled(serve, image_id)["stores"] == "a,b"
    (tmp_path / "store-b").rename(tmp_path / "disk")
    with serving(tmp_path / "home", config) as serve:
        other, status = upload(serve)
        assert status == 204
        serve.client.post(f"/v2/images/{other}/import", json=copy)
        assert settled(serve, other)["os_glance_failed_import"] == "b"
        assert serve.client.delete(f"/v2/images/{image_id}").status_code == 204
    assert not (tmp_path / "store-b").exists()
    assert (tmp_path / "disk" / "images" / image_id).exists()
