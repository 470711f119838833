"""A conversion during an import, sandboxed, with two sets of digests and a store, against programs run in turn."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import driving
from . import through_plugins as through
from .disk_images import disk_image
from .harness import GiB, MiB, Row, Settings, in_turn, medians, progress, timed
from .import_against_tee import digests_of
from .workspace import settle

BOUND = 0.9


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds. The digests of the stored image and of the output of the programs must be those of the disk."""
    directory = settings.directory
    raw = disk_image(directory / "disk", settings.size(2 * GiB, 128 * MiB))
    plain = _qcow2(raw, directory / "disk.qcow2", [])
    compressed = _qcow2(raw, directory / "compressed.qcow2", ["-c"])
    stored = digests_of(raw)
    two = through.write_plan(directory / "two.toml", [through.CONVERT], ("md5", "sha512"), received=("sha256",))
    both_ends = through.write_plan(directory / "both.toml", [through.CONVERT], ("md5", "sha512"))
    every = through.write_plan(directory / "every.toml", [through.CONVERT], through.EVERY_DIGEST)

    def programs(image: Path) -> float:
        seconds = timed(lambda: _one_after_the_other(image, directory / "out", set(stored.values())))
        (directory / "out").unlink()
        settle()
        return seconds

    samples = in_turn(
        settings.times(3),
        {
            "plain": lambda: through.run(settings, plain, two, stored=stored).seconds,
            "programs, plain": lambda: programs(plain),
            "both ends": lambda: through.run(settings, plain, both_ends, stored=stored).seconds,
            "every digest": lambda: through.run(settings, plain, every, stored=stored).seconds,
            "compressed": lambda: through.run(settings, compressed, two, stored=stored).seconds,
            "programs, compressed": lambda: programs(compressed),
        },
        warm_up=settings.quick,  # the images have just been made, and a start costs nothing compared with gigabytes
    )
    middle = medians(samples)
    size = f"{raw.stat().st_size // MiB} MiB"

    def row(what: str, ours: str, against: str, max_ratio: float | None, note: str = "") -> Row:
        row_samples = {key: samples[key] for key in (ours, against)}
        baseline = "qemu-img convert; md5sum; sha512sum, not synced"
        return Row(what, middle[ours], middle[against], baseline, "s", max_ratio, note=note, samples=row_samples)

    return [
        row(
            f"import of qcow2 as raw, {size}, md5, sha512 of the result",
            "plain",
            "programs, plain",
            BOUND,
            "and sha256 of the received image, which the programs do not compute",
        ),
        row(
            "the same with md5, sha512 of both ends",
            "both ends",
            "programs, plain",
            None,
            "four digests on our side, two on the other",
        ),
        row(
            "the same with md5, sha256, sha512 of both ends, as by default",
            "every digest",
            "programs, plain",
            None,
            "six digests on our side, two on the other",
        ),
        row("the same of a compressed qcow2, md5, sha512", "compressed", "programs, compressed", BOUND),
    ]


def _qcow2(raw: Path, path: Path, options: Sequence[str]) -> Path:
    if not path.exists():
        progress(f"  making {path.name}")
        words = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, str(raw), str(path)]
        subprocess.run(words, check=True)
        settle()
    return path


def _one_after_the_other(image: Path, out: Path, digests: set[str]) -> None:
    source, target = shlex.quote(str(image)), shlex.quote(str(out))
    script = f"qemu-img convert -f qcow2 -O raw {source} {target} && md5sum {target} && sha512sum {target}"
    process = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, env=driving.environment(), check=True)
    actual = {line.split()[0] for line in process.stdout.decode().splitlines()}
    if actual != digests:
        raise driving.WrongOutcome(f"the digests of the programs are {actual}, not {digests}")
