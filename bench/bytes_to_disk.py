"""The bytes that are written to the disk for a gzip that becomes raw: the bytes of the disk once, and nothing else."""

from __future__ import annotations

import os

from . import through_plugins as through
from .disk_images import disk_image, gzip_of
from .harness import GiB, MiB, Row, Settings
from .import_against_tee import digests_of

BOUND = 1.02


def measure(settings: Settings) -> list[Row]:
    """Rows of MiB, counted as in :class:`bench.through_plugins.Import`."""
    directory = settings.directory
    raw = disk_image(directory / "disk", settings.size(2 * GiB, 128 * MiB))
    image = gzip_of(directory / "disk.gz", raw)
    plan = through.write_plan(directory / "every.toml", [through.DECOMPRESS], through.EVERY_DIGEST)
    stored = digests_of(raw)
    runs = [through.run(settings, image, plan, stored=stored) for _ in range(settings.times(2))]
    written = [run.written / MiB for run in runs]
    data = os.stat(raw).st_blocks * 512 / MiB
    note = "ru_oublock of the command and all its children: pages made dirty in the cache, and writes around the cache"

    def row(what: str, against: float, baseline: str, note: str = "") -> Row:
        samples = {"ours": written}
        return Row(what, max(written), against, baseline, "MiB", BOUND, timed=False, note=note, samples=samples)

    return [
        row("bytes to the disk, raw.gz as raw", raw.stat().st_size / MiB, "the output", note),
        row("the same, against the data without holes", data, "the data of the output"),
    ]
