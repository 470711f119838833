"""The cost of one more inspector, and of eight inspectors with one ring or a pipe each."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from pathlib import Path

from . import driving
from .harness import GiB, MiB, Row, Settings, in_turn, medians, timed
from .workspace import random_image

COUNTS = (0, 1, 2, 4, 8)
MAX_COUNT = 8
PIPES = Path(__file__).parent / "one_pipe_each.py"


def measure(settings: Settings) -> list[Row]:
    """Rows of seconds: 0 to 8 inspectors with digests; 8 inspectors without digests, against 8 pipes."""
    image = random_image(settings.directory / "image", settings.size(4 * GiB, 128 * MiB))
    return [*_further(settings, image), _pipes(settings, image)]


def _run(settings: Settings, image: Path, count: int, digests: list[str]) -> float:
    plan = driving.make_plan(settings.directory, ["Touch"] * count, digests)
    return timed(lambda: driving.expect(driving.inspect(plan, image, settings.tier), "accepted"))


def _further(settings: Settings, image: Path) -> list[Row]:
    runs = {str(n): functools.partial(_run, settings, image, n, ["md5", "sha512"]) for n in COUNTS}
    samples = in_turn(settings.times(3), runs, warm_up=settings.quick)
    middle = medians(samples)
    rows = []
    for fewer, more in itertools.pairwise(COUNTS):
        cost = (middle[str(more)] - middle[str(fewer)]) / (more - fewer)
        rows.append(
            Row(
                f"inspectors {fewer} -> {more}, with digests: each further inspector",
                middle[str(fewer)] + cost,
                middle[str(fewer)],
                f"{fewer} inspectors",
                "s",
                samples={str(n): samples[str(n)] for n in (fewer, more)},
            )
        )
    cost = (middle[str(MAX_COUNT)] - middle["0"]) / MAX_COUNT
    rows.append(
        Row(
            f"inspectors 0 -> {MAX_COUNT}, with digests: each further inspector, on average",
            middle["0"] + cost,
            middle["0"],
            "no inspector",
            "s",
            max_ratio=1.03,
            samples=samples,
        )
    )
    return rows


def _pipes(settings: Settings, image: Path) -> Row:
    baseline = [sys.executable, "-I", "-S", str(PIPES), str(image), str(MAX_COUNT)]
    samples = in_turn(
        settings.times(5),
        {
            "ring": functools.partial(_run, settings, image, MAX_COUNT, []),
            "pipes": lambda: timed(lambda: subprocess.run(baseline, check=True)),
        },
    )
    middle = medians(samples)
    return Row(
        f"{MAX_COUNT} inspectors, one ring, no digests",
        middle["ring"],
        middle["pipes"],
        f"{MAX_COUNT} processes, one pipe each",
        "s",
        max_ratio=0.25,
        note="4 times faster is 0.25; the time with the ring includes the start of 8 sandboxes, that with pipes none",
        samples=samples,
    )
