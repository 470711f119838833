"""How fast data goes through the examination of formats once the headers have gone by, on one core."""

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

LEAST = 3e9
"""Bytes a second."""

HEADERS = 4 * MiB
KINDS: dict[str, list[str]] = {"raw": [], "qcow2": [], "vmdk": ["-o", "subformat=streamOptimized"]}


def measure(settings: Settings) -> list[Row]:
    """Rows of GB a second of processor time; chunks of 1 MiB out of memory."""
    total = settings.size(8 * GiB, 2 * GiB)
    heads = {kind: _head(settings.directory, kind, options) for kind, options in KINDS.items()}
    runs = {kind: partial(_run, heads[kind], kind, total) for kind in KINDS}
    samples = in_turn(settings.times(5, 2), runs)
    return [
        Row(
            f"examination of {kind}{' streamOptimized' if kind == 'vmdk' else ''}, data after headers, one core",
            speed,
            LEAST / 1e9,
            "the bound",
            "GB/s",
            least=1.0,
            samples={"ours": samples[kind]},
        )
        for kind, speed in medians(samples).items()
    ]


def _head(directory: Path, kind: str, options: list[str]) -> bytes:
    """The first megabytes of an image that qemu-img made of random bytes, which fill more than that."""
    source, made = directory / "random", directory / f"examined.{kind}"
    if not source.exists():
        source.write_bytes(os.urandom(2 * HEADERS))
    subprocess.run(["qemu-img", "convert", "-O", kind, "-f", "raw", *options, source, made], check=True, timeout=120)
    with made.open("rb") as file:
        return file.read(HEADERS)


def _run(head: bytes, kind: str, total: int) -> float:
    """GB a second of processor time for what follows `head`."""
    examination = Examination(FORMATS, len(head) + total)
    view = memoryview(head)
    for at in range(0, len(head), MiB):
        examination.feed(view[at : at + MiB])
    found = [match.disk_format for match in examination.matches] or ["raw"]
    if found != [kind]:
        raise WrongOutcome(f"what qemu-img made as {kind} was taken for {found}")
    data = memoryview(bytes(range(256)) * (MiB // 256))
    began = _seconds()
    for _ in range(total // MiB):
        examination.feed(data)
    took = _seconds() - began
    return total / max(took, 1e-9) / 1e9


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
