"""Stage and import of one image by `douane serve`, against a real Glance 33 with the same file.

Glance is as the tests have it: uwsgi with one worker, Keystone, PostgreSQL, files as stores, and its own defaults for
everything else. It takes md5 and sha512 of the bytes, and looks at their format.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.driving import WrongOutcome
from bench.glance_servers import MeasuredGlance, Setup, glances, missing_environments
from bench.harness import GiB, MiB, Row, Settings, in_turn, progress
from bench.workspace import random_image, settle

from .server import Server

MAX_RATIO = 0.2
PLAN = '[import]\ndigests = [{digests}]\n[[plugin]]\nname = "format"\nuse = "format"\n'
OURS, TWO_SUMS, GLANCE = "serve", "serve, md5 and sha512", "Glance 33"


@dataclass(frozen=True)
class Usage:
    """Seconds of both steps, seconds of processors, and bytes written."""

    stage: float
    imported: float
    cpu: float
    written: float

    @property
    def seconds(self) -> float:
        """Of both steps."""
        return self.stage + self.imported


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds, processor time and bytes; none without the environments of Glance."""
    if (missing := missing_environments()) is not None:
        progress(f"  the comparison with Glance is left out: {missing}")
        return []
    from support.glance.glance_config import GlanceConfig

    folder = settings.directory / "serve-glance"
    folder.mkdir()
    image = random_image(settings.directory / "upload", settings.size(1 * GiB, 64 * MiB))
    with image.open("rb") as file:
        sha512 = hashlib.file_digest(file, "sha512").hexdigest()
    usages: dict[str, list[Usage]] = {OURS: [], TWO_SUMS: [], GLANCE: []}
    with (
        glances(folder, [Setup(lambda _: GlanceConfig())]) as (glance,),
        Server(folder / "three", _plan(folder / "three.toml", "md5", "sha256", "sha512")) as three,
        Server(folder / "two", _plan(folder / "two.toml", "md5", "sha512")) as two,
    ):
        runs = {
            OURS: _kept(usages[OURS], lambda: _serve(three, image, sha512)),
            TWO_SUMS: _kept(usages[TWO_SUMS], lambda: _serve(two, image, sha512)),
            GLANCE: _kept(usages[GLANCE], lambda: _glance(glance, image, sha512)),
        }
        in_turn(settings.times(3), runs)
    return _rows({name: samples[1:] for name, samples in usages.items()}, image.stat().st_size)


def _plan(path: Path, *digests: str) -> Path:
    path.write_text(PLAN.format(digests=", ".join(f'"{digest}"' for digest in digests)))
    return path


def _kept(samples: list[Usage], run: Callable[[], Usage]) -> Callable[[], float]:
    def once() -> float:
        samples.append(run())
        settle()
        return samples[-1].seconds

    return once


def _serve(server: Server, image: Path, sha512: str) -> Usage:
    image_id = server.create()
    before = server.usage()
    began = time.perf_counter()
    answer = server.upload(image_id, "stage", image)
    staged = time.perf_counter()
    if answer.status != 204:
        raise WrongOutcome(f"stage answers {answer.status}: {answer.body!r:.500}\n{server.log()}")
    server.start_import(image_id)
    status = server.settled(image_id)
    imported = time.perf_counter()
    used = server.usage() - before
    document = server.must("GET", f"/v2/images/{image_id}")
    if status != "active" or document["os_hash_value"] != sha512:
        raise WrongOutcome(f"the image is {document}\n{server.log()}")
    server.delete(image_id)
    return Usage(staged - began, imported - staged, used.cpu, used.written)


def _glance(glance: MeasuredGlance, image: Path, sha512: str) -> Usage:
    image_id = glance.create()
    before = glance.usage()
    stage = glance.upload(image_id, "stage", image)
    imported = glance.run_import(image_id)
    used = glance.usage() - before
    document = glance.image_properties(image_id)
    if document["status"] != "active" or document["os_hash_value"] != sha512:
        raise WrongOutcome(f"the image is {document}\n{glance.log()[-4000:]}")
    glance.delete(image_id)
    return Usage(stage, imported, used.cpu, used.written)


def _rows(usages: dict[str, Sequence[Usage]], size: int) -> list[Row]:
    def row(what: str, unit: str, ours: str = OURS, max_ratio: float | None = None) -> Row:
        samples = {name: [float(getattr(usage, unit)) for usage in usages[name]] for name in (ours, GLANCE)}
        middle = {name: statistics.median(values) for name, values in samples.items()}
        shown = {"cpu": "CPU s", "written": "MiB"}.get(unit, "s")
        scale = MiB if unit == "written" else 1
        return Row(
            what, middle[ours] / scale, middle[GLANCE] / scale, GLANCE, shown, max_ratio=max_ratio, samples=samples
        )

    return [
        row(f"stage and import of {size // MiB} MiB, 3 digests", "seconds", max_ratio=MAX_RATIO),
        row("the same, md5 and sha512", "seconds", TWO_SUMS),
        row("the stage of it, 3 digests", "stage"),
        row("the import of it, 3 digests", "imported"),
        row("processor time, 3 digests", "cpu"),
        row("bytes written", "written"),
    ]
