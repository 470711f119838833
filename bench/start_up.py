"""The start of `douane` as a whole process, against the start of Python with click imported."""

from __future__ import annotations

import subprocess
import sys

from .driving import COMMAND
from .harness import MiB, Row, Settings, in_turn, medians, timed
from .workspace import sparse_image

CLICK = "python -c 'import click'"
MAX_RATIO = 2.0


def measure(settings: Settings) -> list[Row]:
    """Rows of milliseconds: the help, the version, and a check with one plugin."""
    image = sparse_image(settings.directory / "empty", MiB)
    tier = ["--sandbox", settings.tier] if settings.tier is not None else []
    commands = {
        CLICK: [sys.executable, "-c", "import click"],
        "douane --version": [*COMMAND, "--version"],
        "douane --help": [*COMMAND, "--help"],
        "douane check of 1 MiB": [*COMMAND, "check", str(image), *tier],
    }
    runs = {name: lambda words=words: 1000 * timed(lambda: _run(words)) for name, words in commands.items()}
    samples = in_turn(settings.times(20, 3), runs)
    middle = medians(samples)
    return [
        Row(
            name,
            middle[name],
            middle[CLICK],
            CLICK,
            "ms",
            max_ratio=None if "check" in name else MAX_RATIO,
            samples={row: samples[row] for row in (name, CLICK)},
        )
        for name in commands
        if name != CLICK
    ]


def _run(words: list[str]) -> None:
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
