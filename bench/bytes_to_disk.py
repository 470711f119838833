"""What is written to the disk for a gzip that becomes raw: its bytes once, and nothing beside them."""

from __future__ import annotations

import os

from . import through_plugins as through
from .disk_images import disk_image, packed
from .harness import GiB, MiB, Row, Settings
from .import_against_tee import digests_of

BOUND = 1.02


def measure(settings: Settings) -> list[Row]:
    """Rows of MiB; see :class:`bench.through_plugins.Import` for how they are counted."""
    here = settings.directory
    raw = disk_image(here / "disk", settings.size(2 * GiB, 128 * MiB))
    image = packed(here / "disk.gz", raw)
    plan = through.write_plan(here / "every.toml", [through.DECOMPRESS], through.EVERY_DIGEST)
    stored = digests_of(raw)
    runs = [through.run(settings, image, plan, stored=stored) for _ in range(settings.times(2))]
    written = [run.written / MiB for run in runs]
    data = os.stat(raw).st_blocks * 512 / MiB
    note = "ru_oublock of the command and of all its children: what was made dirty in the cache, and written around it"

    def row(what: str, against: float, told: str, note: str = "") -> Row:
        return Row(what, max(written), against, told, "MiB", BOUND, timed=False, note=note, samples={"ours": written})

    return [
        row("bytes to the disk, raw.gz as raw", raw.stat().st_size / MiB, "the output", note),
        row("the same, against what of it is no hole", data, "the data of the output"),
    ]
