"""The bytes of a deleted image go, also if the door died between the catalog and the store."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.judged import OCTETS, write_config
from support.serve import serving
from support.waiting import until

DIES = """
import os, signal, sys

if "douane.api.process.door" in sys.orig_argv:
    from douane.stores import file

    def die(*arguments, **more):
        os.kill(os.getpid(), signal.SIGKILL)

    file.FileStore.delete = die
"""


def test_the_bytes_of_a_deleted_image_go_although_its_door_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DIES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with serving(tmp_path / "home", write_config(tmp_path)) as serve:
        image_id, other = serve.create(), serve.create()
        for each in (image_id, other):
            assert serve.client.put(f"/v2/images/{each}/file", content=b"x" * 5000, headers=OCTETS).status_code == 204
        copies = tmp_path / "store-a" / "images"
        with pytest.raises(httpx.TransportError):
            serve.client.delete(f"/v2/images/{image_id}")
        until("a worker has deleted the bytes", lambda: not (copies / image_id).exists())
        until("the door is back", lambda: "door started" in serve.log.read_text().rpartition("the door has ended")[2])
        assert serve.client.get(f"/v2/images/{image_id}").status_code == 404
        assert (copies / other).exists()
