"""`douane rescan --glance` lists, downloads and deactivates by the API of Glance, with the operator's token."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from douane.engine import RunOptions, load_plan
from douane.errors import UploadError
from douane.rescan import Rescan, RescanOptions, State, Summary
from douane.rescan.glance_place import open_glance
from douane.sandbox import Tier

TOKEN = "operator"
GOOD, BAD, HIDDEN = (f"{digit}1111111-1111-4111-8111-111111111111" for digit in "123")
DATA = {GOOD: b"a disk\n" * 400_000, BAD: b"poison\n" * 10, HIDDEN: b"hidden\n"}
PLUGIN = """
from douane_plugin import Inspector, Reject
class Words(Inspector):
    def inspect(self, image):
        if b"poison" in b"".join(bytes(chunk) for chunk in image):
            raise Reject("word", "it has the word poison")
"""


class Glance:
    """Three active images, of which one is hidden, in pages of one image."""

    def __init__(self) -> None:
        self.status = dict.fromkeys(DATA, "active")
        self.downloads: list[str] = []
        self.data = dict(DATA)
        self.next_path: str | None = None
        glance = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                glance.get(self)

            def do_POST(self) -> None:
                image = self.path.split("/")[3]
                glance.status[image] = "deactivated"
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def get(self, request: BaseHTTPRequestHandler) -> None:
        assert request.headers["X-Auth-Token"] == TOKEN
        if request.path.endswith("/file"):
            image = request.path.split("/")[3]
            self.downloads.append(image)
            answer(request, self.data[image], len(DATA[image]))
            return
        image = request.path.removeprefix("/v2/images/")
        if image in DATA:
            answer(request, json.dumps(self.document(image)).encode())
            return
        hidden = "os_hidden=true" in request.path
        ids = [HIDDEN] if hidden else [GOOD, BAD]
        after = request.path.partition("marker=")[2]
        image = ids[ids.index(after) + 1] if after else ids[0]
        more = f"/v2/images?marker={image}" if image != ids[-1] else self.next_path
        answer(request, json.dumps({"images": [self.document(image)], "next": more}).encode())

    def document(self, image: str) -> dict[str, Any]:
        digest = hashlib.sha512(DATA[image]).hexdigest()
        facts = {"os_hash_algo": "sha512", "os_hash_value": digest, "size": len(DATA[image]), "owner": "somebody"}
        return {"id": image, "name": image[0], "status": self.status[image], "disk_format": "raw", **facts}


def answer(request: BaseHTTPRequestHandler, data: bytes, length: int | None = None) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(data) if length is None else length))
    request.end_headers()
    request.wfile.write(data)
    if length not in (None, len(data)):
        request.close_connection = True


@pytest.fixture
def glance() -> Iterator[Glance]:
    glance = Glance()
    yield glance
    glance.server.shutdown()
    glance.server.server_close()


def rescan(glance: Glance, folder: Path, *, deactivates: bool = False) -> Summary:
    (folder / "words.py").write_text(PLUGIN)
    config = folder / "plan.toml"
    config.write_text(f'[[plugin]]\nname = "words"\nuse = "{folder}/words.py:Words"\n')
    plan = load_plan(str(config))
    options = RescanOptions(tier=Tier.STRICT, run=RunOptions(tier=Tier.STRICT), deactivates=deactivates)
    environment = {"OS_TOKEN": TOKEN}
    with (
        State(folder / "state") as state,
        open_glance(glance.url, [], ["words"], environment, lambda text: None) as place,
    ):
        return Rescan(place, plan, state, options).run()


def test_images_are_downloaded_once_and_the_refused_one_is_deactivated(glance: Glance, tmp_path: Path) -> None:
    summary = rescan(glance, tmp_path)
    assert (summary.images, summary.read, summary.refused) == (3, 3, 1)
    assert [(row.image, row.code) for row in summary.rows] == [(BAD, "word")]
    # The refused one may come once more, for its digest: a refusal ends the reading.
    assert sorted(image for image in glance.downloads if image != BAD) == sorted({GOOD, HIDDEN})
    assert BAD in glance.downloads
    glance.downloads.clear()
    assert set(glance.status.values()) == {"active"}
    summary = rescan(glance, tmp_path, deactivates=True)
    assert (summary.read, summary.deactivated, glance.downloads) == (0, 1, [])
    assert [image for image, status in glance.status.items() if status == "deactivated"] == [BAD]


def test_a_download_that_breaks_off_is_no_clean_image(glance: Glance, tmp_path: Path) -> None:
    glance.data[GOOD] = DATA[GOOD][:-7]
    summary = rescan(glance, tmp_path)
    assert {row.image: row.outcome for row in summary.rows} == {GOOD: "undecided", BAD: "refused"}
    glance.data[GOOD] = DATA[GOOD]
    assert [row.image for row in rescan(glance, tmp_path).rows] == [BAD]


def test_a_list_that_goes_on_elsewhere_is_not_followed(glance: Glance, tmp_path: Path) -> None:
    glance.next_path = "http://elsewhere.example/v2/images?x"
    with pytest.raises(UploadError, match="goes on at"):
        rescan(glance, tmp_path)
