"""Stage and import of one image, against `tee` into a file and the same sums at once; three stores against one.

An import of a URL knows its stores when the bytes come, and writes them all from one read. So do staged bytes if the
operator has named the stores (``stage_stores``). Otherwise they are in the default store when the stores are named, and
an import into others reads them again: a row for information.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.driving import WrongOutcome
from bench.harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from bench.workspace import random_image, settle

from .server import Server, stores_config

SUMS = ("md5", "sha256", "sha512")
PLAN = """
[import]
digests = ["md5", "sha256", "sha512"]

[[plugin]]
name = "format"
use = "format"
"""


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds, and one of bytes written. The digests of both sides are compared."""
    folder = settings.directory / "serve"
    folder.mkdir()
    image = random_image(settings.directory / "upload", settings.size(1 * GiB, 64 * MiB))
    size = image.stat().st_size
    names = ("a", "b", "c")
    config = _config(folder, names)
    staging_config = _config(folder / "staging", names, '[serve]\nstage_stores = "all"\n')
    written: list[float] = []
    with image.open("rb") as file:
        sha512 = hashlib.file_digest(file, "sha512").hexdigest()
    with (
        FileServer(image) as web,
        Server(folder / "home", _with_download(config, web.port)) as server,
        Server(folder / "staging-home", staging_config) as staging,
    ):

        def serve(server: Server, stores: tuple[str, ...]) -> Callable[[], float]:
            def run() -> float:
                before = server.usage()
                seconds = _upload(server, image, stores, sha512)
                written.append((server.usage() - before).written / size / len(stores))
                settle()
                return seconds

            return run

        samples = in_turn(
            settings.times(5),
            {
                "serve": serve(server, names[:1]),
                "tee": lambda: _tee(image, folder / "copy"),
                "URL, one store": lambda: _download(server, web, names[:1], sha512),
                "URL, three stores": lambda: _download(server, web, names, sha512),
                "staged in three stores": serve(staging, names),
                "staged, three stores": lambda: _settled(_upload(server, image, names, sha512)),
            },
        )
    middle = medians(samples)
    what = f"stage and import of {size // MiB} MiB, {len(SUMS)} digests"

    def row(what: str, ours: str, against: str, baseline: str, max_ratio: float | None) -> Row:
        chosen = {name: samples[name] for name in (ours, against)}
        return Row(what, middle[ours], middle[against], baseline, "s", max_ratio=max_ratio, samples=chosen)

    return [
        row(what, "serve", "tee", "tee into a file and the sums at once", 0.9),
        row("web-download to three stores", "URL, three stores", "URL, one store", "to one store", 1.15),
        row(
            "stage and import to three stores, `stage_stores`", "staged in three stores", "serve", "to one store", 1.15
        ),
        row("stage, then import to three stores", "staged, three stores", "serve", "to the default store", None),
        Row("bytes written for each byte stored", max(written), 1.0, "1", "", 1.02, timed=False),
    ]


def _config(folder: Path, names: tuple[str, ...], settings: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    config = folder / "douane.toml"
    config.write_text(PLAN + settings)
    return stores_config(config, folder, names)


def _upload(server: Server, image: Path, stores: tuple[str, ...], sha512: str) -> float:
    """Stage and import, until the image is active. Its deletion is not counted: `tee`'s copy is not, either."""
    image_id = server.create()

    def run() -> None:
        answer = server.upload(image_id, "stage", image)
        if answer.status != 204:
            raise WrongOutcome(f"stage answers {answer.status}: {answer.body!r:.500}\n{server.log()}")
        server.start_import(image_id, stores=list(stores))
        server.settled(image_id)

    seconds = timed(run)
    _check_and_delete(server, image_id, stores, sha512)
    return seconds


def _download(server: Server, web: FileServer, stores: tuple[str, ...], sha512: str) -> float:
    """Import by web-download, from the request until the image is active."""
    image_id = server.create()

    def run() -> None:
        request = {"method": {"name": "web-download", "uri": web.url}, "stores": list(stores)}
        server.must("POST", f"/v2/images/{image_id}/import", request)
        server.settled(image_id)

    seconds = timed(run)
    _check_and_delete(server, image_id, stores, sha512)
    return _settled(seconds)


def _settled(seconds: float) -> float:
    settle()
    return seconds


def _check_and_delete(server: Server, image_id: str, stores: tuple[str, ...], sha512: str) -> None:
    document = server.must("GET", f"/v2/images/{image_id}")
    if (document["status"], document["os_hash_value"], document["stores"]) != ("active", sha512, ",".join(stores)):
        raise WrongOutcome(f"the image is {document}\n{server.log()}")
    server.delete(image_id)


class FileServer(ThreadingHTTPServer):
    """Serves one file on loopback, by sendfile(2)."""

    def __init__(self, path: Path) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                with path.open("rb") as file, contextlib.suppress(OSError):  # the probe reads only the beginning
                    self.connection.sendfile(file)

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.port: int = self.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/image"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_close(self) -> None:
        """End it."""
        self.shutdown()
        super().server_close()


def _with_download(config: Path, port: int) -> Path:
    with config.open("a") as file:
        file.write(f'[serve.web_download]\nallow = ["127.0.0.0/8"]\nports = [{port}]\n')
    return config


def _tee(image: Path, copy: Path) -> float:
    source, target = shlex.quote(str(image)), shlex.quote(str(copy))
    sums = " ".join(f">({name}sum >&3)" for name in SUMS)
    script = f"exec 3>&1; tee {sums} > {target} < {source}"
    seconds = timed(lambda: subprocess.run(["bash", "-c", script], stdout=subprocess.DEVNULL, check=True))
    with contextlib.suppress(FileNotFoundError):
        copy.unlink()
    settle()
    return seconds
