"""Unpacking on the way in, caged, digested twice and stored, against gzip(1) that does nothing else."""

from __future__ import annotations

import shlex
import subprocess

from . import driving
from . import through_plugins as through
from .disk_images import disk_image, packed
from .harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from .import_against_tee import digests_of
from .workspace import settle

FASTER = 1.5


def measure(settings: Settings) -> list[Row]:
    """A row of seconds. The digests of what is stored are compared to those of the image before it was packed."""
    here = settings.directory
    raw = disk_image(here / "disk", settings.size(2 * GiB, 128 * MiB))
    image = packed(here / "disk.gz", raw)
    stored = digests_of(raw)
    out = here / "out"
    every = through.write_plan(here / "every.toml", [through.DECOMPRESS], through.EVERY_DIGEST)
    two = through.write_plan(here / "two.toml", [through.DECOMPRESS], ("md5", "sha512"))
    none = through.write_plan(here / "none.toml", [through.DECOMPRESS], ())

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
        warm_up=settings.quick,  # the images have just been made, and a start weighs nothing against gigabytes
    )
    middle = medians(samples)

    def row(what: str, name: str, most: float | None, note: str = "") -> Row:
        kept = {key: samples[key] for key in (name, "gzip")}
        return Row(what, middle[name], middle["gzip"], "gzip -dc, not synced", "s", most, note=note, samples=kept)

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
