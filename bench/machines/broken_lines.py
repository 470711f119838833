"""`douane upload` over ten lines that break, against the same upload over one that does not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench import driving
from bench.driving import WrongOutcome
from bench.harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from bench.service.server import Server
from bench.workspace import random_image, settle

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.breaking_proxy import BreakingProxy  # the folder is added above

BREAKS = 10


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds, and of bytes that came through the line. The image is compared with the file."""
    folder = settings.directory / "broken-lines"
    folder.mkdir()
    image = random_image(settings.directory / "upload.raw", settings.size(1 * GiB, 64 * MiB))
    size = image.stat().st_size
    with image.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    sent: dict[int, int] = {}
    with Server(folder / "home") as server:

        def run(breaks: int) -> float:
            proxy = BreakingProxy(("127.0.0.1", server.port), [size * n // (breaks + 1) for n in range(1, breaks + 1)])
            seconds = timed(lambda: _upload(server, proxy, image, sha256))
            proxy.close()
            if proxy.broken != breaks:
                raise WrongOutcome(f"{proxy.broken} lines broke, and not {breaks}")
            sent[breaks] = max(sent.get(breaks, 0), proxy.sent)
            settle()
            return seconds

        samples = in_turn(settings.times(5), {"broken": lambda: run(BREAKS), "straight": lambda: run(0)})
    middle = medians(samples)
    what = f"`douane upload` of {size // MiB} MiB, {BREAKS} lines broken"
    return [
        Row(what, middle["broken"], middle["straight"], "none broken", "s", max_ratio=1.15, samples=samples),
        Row("bytes sent for each byte of it", sent[BREAKS] / size, 1.0, "1", "", timed=False),
    ]


def _upload(server: Server, proxy: BreakingProxy, image: Path, sha256: str) -> None:
    words = [*driving.COMMAND, "upload", str(image), "--url", proxy.url]
    ended = subprocess.run(words, env=driving.environment(), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise WrongOutcome(f"`douane upload` ends with {ended.returncode}: {ended.stderr[-2000:]}\n{server.log()}")
    image_id = ended.stdout.strip()
    document = server.must("GET", f"/v2/images/{image_id}")
    report = server.must("GET", f"/v2/images/{image_id}/tasks")["tasks"][-1]["result"]
    if document["status"] != "active" or report["received"]["sha256"] != sha256:
        raise WrongOutcome(f"the image is {document}\n{server.log()}")
    server.delete(image_id)
