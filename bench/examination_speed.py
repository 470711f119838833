"""The speed of the examination of formats on data after the headers, on one core."""

from __future__ import annotations

import os
import resource
import subprocess
from functools import partial
from pathlib import Path

from douane.plugins.formats.examination import Examination
from douane.plugins.formats.registry import FORMATS

from .driving import WrongOutcome
from .harness import GiB, MiB, Row, Settings, in_turn, medians

MIN_SPEED = 3e9
"""Bytes a second."""

HEADERS = 4 * MiB
KINDS: dict[str, list[str]] = {"raw": [], "qcow2": [], "vmdk": ["-o", "subformat=streamOptimized"]}


def measure(settings: Settings) -> list[Row]:
    """Rows of GB a second of processor time, with chunks of 1 MiB from memory."""
    total = settings.size(8 * GiB, 2 * GiB)
    heads = {kind: _head(settings.directory, kind, options) for kind, options in KINDS.items()}
    runs = {kind: partial(_run, heads[kind], kind, total) for kind in KINDS}
    samples = in_turn(settings.times(5, 2), runs)
    return [
        Row(
            f"examination of {kind}{' streamOptimized' if kind == 'vmdk' else ''}, data after headers, one core",
            speed,
            MIN_SPEED / 1e9,
            "the bound",
            "GB/s",
            min_ratio=1.0,
            samples={"ours": samples[kind]},
        )
        for kind, speed in medians(samples).items()
    ]


def _head(directory: Path, kind: str, options: list[str]) -> bytes:
    """The first megabytes of an image that qemu-img made of more random bytes."""
    source, image = directory / "random", directory / f"examined.{kind}"
    if not source.exists():
        source.write_bytes(os.urandom(2 * HEADERS))
    subprocess.run(["qemu-img", "convert", "-O", kind, "-f", "raw", *options, source, image], check=True, timeout=120)
    with image.open("rb") as file:
        return file.read(HEADERS)


def _run(head: bytes, kind: str, total: int) -> float:
    """GB a second of processor time for the data after `head`."""
    examination = Examination(FORMATS, len(head) + total)
    view = memoryview(head)
    for at in range(0, len(head), MiB):
        examination.feed(view[at : at + MiB])
    formats = [match.disk_format for match in examination.matches] or ["raw"]
    if formats != [kind]:
        raise WrongOutcome(f"the {kind} image of qemu-img is detected as {formats}")
    data = memoryview(bytes(range(256)) * (MiB // 256))
    began = _seconds()
    for _ in range(total // MiB):
        examination.feed(data)
    took = _seconds() - began
    return total / max(took, 1e-9) / 1e9


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
