"""The peak memory of the `douane` process itself: the same for every image, and small."""

from __future__ import annotations

import os
import re
import select
import statistics
import subprocess
from pathlib import Path

from . import driving
from .harness import GiB, MiB, Row, Settings, in_turn
from .workspace import random_image, sparse_image

BOUND_MIB = 160
SAMPLE_MS = 5
INSPECTORS = 4


def measure(settings: Settings) -> list[Row]:
    """Rows of MiB (VmHWM of /proc/PID/status: resident memory with the ring, without child processes)."""
    directory = settings.directory
    dense = random_image(directory / "dense", settings.size(GiB, 128 * MiB))
    sparse = sparse_image(directory / "sparse", settings.size(64, 8) * GiB, data_every=settings.size(1024, 128) * MiB)
    hole = sparse_image(directory / "hole", settings.size(64, 8) * GiB)
    # digests of 64 GiB of zeros would take minutes and no memory; a row of their own shows their memory
    bare = driving.write_plan(directory / "bare.toml", ["Touch"] * INSPECTORS, [])
    full = driving.write_plan(directory / "full.toml", ["Touch"] * INSPECTORS, ["md5", "sha256", "sha512"])
    samples = in_turn(
        settings.times(3),
        {
            "dense": lambda: _peak(settings, dense, bare),
            "sparse": lambda: _peak(settings, sparse, bare),
            "hole": lambda: _peak(settings, hole, bare),
            "digests": lambda: _peak(settings, dense, full),
        },
        warm_up=False,
    )
    dense.unlink()
    middle = {name: statistics.median(values) for name, values in samples.items()}
    baseline = f"{settings.size(GiB, 128 * MiB) // MiB} MiB random"
    long = f"{settings.size(64, 8)} GiB"
    highest = max(max(values) for values in samples.values())

    def row(what: str, name: str, min_ratio: float | None) -> Row:
        row_samples = {key: samples[key] for key in (name, "dense")}
        middles = middle[name], middle["dense"]
        return Row(what, *middles, baseline, "MiB", 1.1, min_ratio, timed=False, samples=row_samples)

    return [
        row(f"peak memory of the engine, {long} sparse with 64 MiB of data", "sparse", 0.9),
        row(f"peak memory of the engine, {long} that are one hole", "hole", None),  # less, as the ring is not touched
        row("peak memory of the engine, three digests instead of none", "digests", 0.9),
        Row("the maximum of all these runs", highest, BOUND_MIB, "the bound", "MiB", max_ratio=1.0, timed=False),
    ]


def _peak(settings: Settings, image: Path, plan: Path) -> float:
    """Import the image with the whole command; return the last VmHWM of its process, which only grows."""
    home = settings.directory / "home"
    words = driving.command("import", image, plan, "--home", str(home), tier=settings.tier)
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=driving.environment()) as engine:
        assert engine.stdout is not None
        ended = os.pidfd_open(engine.pid)
        try:
            watch = select.poll()
            watch.register(ended, select.POLLIN)
            peak = 0
            while not watch.poll(SAMPLE_MS):
                peak = max(peak, _high_water_mark(engine.pid))
        finally:
            os.close(ended)
        output = engine.stdout.read()
    driving.remove_home(home)
    if engine.returncode:
        raise driving.WrongOutcome(f"the import of {image.name} ended with {engine.returncode}: {output!r:.500}")
    return peak / MiB


def _high_water_mark(pid: int) -> int:
    try:
        match = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(match[1]) * 1024 if match else 0  # a process that has just ended has no VmHWM
