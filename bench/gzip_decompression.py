"""Unpacking during an import, sandboxed, with two sets of digests and a store, against gzip(1) alone."""

from __future__ import annotations

import shlex
import subprocess

from . import driving
from . import through_plugins as through
from .disk_images import disk_image, gzip_of
from .harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from .import_against_tee import digests_of
from .workspace import settle

FASTER = 1.5


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds. The digests of the stored image are compared with those of the image before packing."""
    directory = settings.directory
    raw = disk_image(directory / "disk", settings.size(2 * GiB, 128 * MiB))
    image = gzip_of(directory / "disk.gz", raw)
    stored = digests_of(raw)
    out = directory / "out"
    every = through.write_plan(directory / "every.toml", [through.DECOMPRESS], through.EVERY_DIGEST)
    two = through.write_plan(directory / "two.toml", [through.DECOMPRESS], ("md5", "sha512"))
    none = through.write_plan(directory / "none.toml", [through.DECOMPRESS], ())

    def gzip() -> float:
        script = f"gzip -dc {shlex.quote(str(image))} > {shlex.quote(str(out))}"
        seconds = timed(lambda: subprocess.run(["sh", "-c", script], env=driving.environment(), check=True))
        out.unlink()
        settle()
        return seconds

    samples = in_turn(
        settings.times(3),
        {
            "every digest": lambda: through.run(settings, image, every, stored=stored).seconds,
            "gzip": gzip,
            "two digests": lambda: through.run(settings, image, two, stored=stored).seconds,
            "no digest": lambda: through.run(settings, image, none).seconds,
        },
        warm_up=settings.quick,  # the images have just been made, and a start costs nothing compared with gigabytes
    )
    middle = medians(samples)

    def row(what: str, name: str, max_ratio: float | None, note: str = "") -> Row:
        row_samples = {key: samples[key] for key in (name, "gzip")}
        middles = middle[name], middle["gzip"]
        return Row(what, *middles, "gzip -dc, not synced", "s", max_ratio, note=note, samples=row_samples)

    what = f"import of a gzip of {raw.stat().st_size // MiB} MiB"
    return [
        row(
            f"{what}, md5, sha256, sha512 of both ends",
            "every digest",
            round(1 / FASTER, 3),
            f"{FASTER:g} times faster is {1 / FASTER:.3f}; the gzip has {image.stat().st_size // MiB} MiB",
        ),
        row(f"{what}, md5, sha512 of both ends", "two digests", None),
        row(f"{what}, no digests", "no digest", None),
    ]
