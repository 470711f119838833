"""The bytes of an image that are read if its start is refused."""

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
    """Rows of MiB read of the image, with an inspector of the stream and an inspector of the head."""
    image = random_image(settings.directory / "image", settings.size(4 * GiB, 128 * MiB))
    by_strace = shutil.which("strace") is not None
    method = "counted by strace" if by_strace else "rchar of the process, less that of a run on a hole"
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
                max_ratio=1.0,
                timed=False,
                note=f"the maximum of {len(samples[inspector])} runs, {method}",
                samples=samples,
            )
        )
    return rows


def _expect_refusal(words: list[str]) -> None:
    process = subprocess.run(words, stdout=subprocess.PIPE, env=driving.environment(), check=False)
    if process.returncode != 1:
        raise driving.WrongOutcome(f"the image must be refused (1), but the command ended with {process.returncode}")


def _strace(settings: Settings, image: Path, plan: Path) -> int:
    """Bytes that all processes of the command read of the image (strace(1), -P)."""
    log = settings.directory / "strace"
    trace = ["strace", "-f", "-qq", "-e", "signal=none", "-e", f"trace={CALLS}", "-P", str(image), "-o", str(log)]
    _expect_refusal([*trace, *driving.command("check", image, plan, tier=settings.tier)])
    lines = log.read_text().splitlines()
    if any("mmap(" in line for line in lines):
        raise driving.WrongOutcome("the image was mapped, so that reads cannot be counted by calls")
    # a call that another line interrupts continues in a line with "resumed"
    joined = [line.replace("<... ", "").replace(" resumed>", "(") for line in lines]
    counted = sum(int(match[1]) for line in joined if (match := _RETURNED.search(line)))
    if not counted:
        raise driving.WrongOutcome(f"strace saw no byte of the image read: {lines[:5]}")
    return counted


def _difference(settings: Settings, image: Path, plan: Path) -> int:
    hole = sparse_image(settings.directory / "hole", image.stat().st_size)
    return max(0, _all_read(settings, image, plan) - _all_read(settings, hole, plan))


def _all_read(settings: Settings, image: Path, plan: Path) -> int:
    """Bytes that the command and its children read in all (rchar, proc_pid_io(5)), from a shell around the command.

    The kernel adds the count of a child to its parent's when the child is waited for, so that the shell has the sum.
    """
    words = driving.command("check", image, plan, tier=settings.tier)
    script = '"$@" > /dev/null; code=$?; while read -r key value; do [ "$key" != rchar: ] || echo "$value"; done'
    shell = ["bash", "-c", f"{script} < /proc/$$/io; exit $code", "bash", *words]
    process = subprocess.run(shell, stdout=subprocess.PIPE, env=driving.environment(), check=False)
    if process.returncode != 1:
        raise driving.WrongOutcome(f"the image must be refused (1), but the command ended with {process.returncode}")
    return int(process.stdout)
