"""How much of an image is read when its beginning is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from . import driving
from .harness import GiB, MiB, Row, Settings, in_turn
from .workspace import random_image, sparse_image

BOUND = 4 * MiB
CALLS = "read,pread64,readv,preadv,preadv2,mmap,sendfile,splice,copy_file_range"
_RETURNED = re.compile(r"(?:read|pread64|readv|preadv2?|sendfile|splice|copy_file_range)\(.*\)\s+= (\d+)$")


def measure(settings: Settings) -> list[Row]:
    """Rows of MiB: what was read of the image, with one inspector of the stream and with one of the head."""
    image = random_image(settings.directory / "image", settings.size(4 * GiB, 128 * MiB))
    by_strace = shutil.which("strace") is not None
    method = "counted by strace" if by_strace else "the process's rchar, less that of a run on a hole"
    rows = []
    for inspector in ("RefuseFirstBlock", "RefuseHead"):
        plan = driving.write_plan(settings.directory / "refuse.toml", [inspector], ["md5", "sha512"])

        def read(plan: Path = plan) -> float:
            counted = _strace(settings, image, plan) if by_strace else _difference(settings, image, plan)
            return counted / MiB

        samples = in_turn(settings.times(5), {inspector: read}, warm_up=False)
        rows.append(
            Row(
                f"bytes read of {image.stat().st_size // MiB} MiB, refused by {inspector}",
                max(samples[inspector]),
                BOUND / MiB,
                "the bound",
                "MiB",
                most=1.0,
                timed=False,
                note=f"the most of {len(samples[inspector])} runs, {method}",
                samples=samples,
            )
        )
    return rows


def _refused(words: list[str]) -> None:
    done = subprocess.run(words, stdout=subprocess.PIPE, env=driving.environment(), check=False)
    if done.returncode != 1:
        raise driving.WrongOutcome(f"the image was to be refused (1), the command ended with {done.returncode}")


def _strace(settings: Settings, image: Path, plan: Path) -> int:
    """Bytes that all processes of the command read of the image (strace(1), -P)."""
    log = settings.directory / "strace"
    trace = ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={CALLS}", "-P", str(image), "-o", str(log)]
    _refused([*trace, *driving.command("check", image, plan, tier=settings.tier)])
    lines = log.read_text().splitlines()
    if any("mmap(" in line for line in lines):
        raise driving.WrongOutcome("the image was mapped: what is read of it cannot be counted by calls")
    # A call that was interrupted by another process's line ends in one that says "resumed".
    joined = [line.replace("<... ", "").replace(" resumed>", "(") for line in lines]
    counted = sum(int(found[1]) for line in joined if (found := _RETURNED.search(line)))
    if not counted:
        raise driving.WrongOutcome(f"strace saw no byte of the image read: {lines[:5]}")
    return counted


def _difference(settings: Settings, image: Path, plan: Path) -> int:
    hole = sparse_image(settings.directory / "hole", image.stat().st_size)
    return max(0, _all_read(settings, image, plan) - _all_read(settings, hole, plan))


def _all_read(settings: Settings, image: Path, plan: Path) -> int:
    """Bytes that the command and its children read of anything (rchar, proc_pid_io(5)); told by a shell around it.

    The kernel adds what a child read to its parent's sum when it is waited for, so one shell's own file tells all.
    """
    words = driving.command("check", image, plan, tier=settings.tier)
    script = '"$@" > /dev/null; code=$?; while read -r key value; do [ "$key" != rchar: ] || echo "$value"; done'
    shell = ["bash", "-c", f"{script} < /proc/$$/io; exit $code", "bash", *words]
    done = subprocess.run(shell, stdout=subprocess.PIPE, env=driving.environment(), check=False)
    if done.returncode != 1:
        raise driving.WrongOutcome(f"the image was to be refused (1), the command ended with {done.returncode}")
    return int(done.stdout)
