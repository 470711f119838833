"""The guest view: system and packages in the sandbox, walks, digests of all files, inspectors of files, memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import driving, guest_disks
from .harness import MiB, Row, Settings, in_turn, medians, progress

FILES, BYTES = 25_000, 1400 * MiB
FILES_QUICK, BYTES_QUICK = 500, 40 * MiB
FILE_SYSTEMS = ("ext4", "xfs", "btrfs")
PACKAGES_SECONDS = 0.1
PACKAGES_BYTES = {"ext4": 2 * MiB, "xfs": 16 * MiB, "btrfs": 2 * MiB}
WALK_SECONDS = 0.3
DIGESTS_RATIO = 2.0
FURTHER_SECONDS = 0.3
FURTHER = 4
"""Inspectors of files that are compared with one."""

GUESTFISH_SECONDS = 900

MEMORY = 64 * MiB
ENTRIES, ENTRIES_QUICK = 300_000, 20_000
READER = Path(__file__).parent / "guest_reader.py"


class Reading(NamedTuple):
    """What the reader of guest_reader.py measured."""

    cpu: float
    bytes: int
    memory: int


def measure(settings: Settings) -> list[Row]:
    """All rows."""
    sizes = (FILES_QUICK, BYTES_QUICK) if settings.quick else (FILES, BYTES)
    tree = guest_disks.Tree(settings.directory / "tree", *sizes)
    disks = {kind: guest_disks.disk(tree, kind) for kind in FILE_SYSTEMS}
    rows = []
    for kind in FILE_SYSTEMS:
        rows += _packages(settings, kind, disks[kind])
    rows += [_walk(settings, tree, kind, disks[kind]) for kind in FILE_SYSTEMS]
    rows += [_digests(settings, tree, disks["ext4"]), _further(settings, tree, disks["ext4"])]
    rows += _memory(settings, {f"{kind}, digests": disks[kind] for kind in FILE_SYSTEMS})
    return rows


def _read(command: str, image: Path) -> Reading:
    result = subprocess.run([sys.executable, READER, command, image], stdout=subprocess.PIPE, check=True)
    facts = json.loads(result.stdout)
    if facts["unread"] or not facts["count"]:
        raise driving.WrongOutcome(f"{image.name} was not read whole: {facts}")
    return Reading(facts["cpu"], facts["bytes"], facts["memory"])


def _packages(settings: Settings, kind: str, image: Path) -> list[Row]:
    plan = driving.make_plan(settings.directory, ["GuestPackages"], [])
    walls, sizes = [], []
    for number in range(settings.times(5)):
        progress(f"  packages of {kind}, round {number + 1}")
        report = driving.expect(driving.inspect(plan, image, settings.tier), "accepted")
        facts = {
            name.rpartition(".")[2]: int(value) for name, value in report.properties.items() if "guestpackages" in name
        }
        walls.append(facts["microseconds"] / 1e6)
        sizes.append(facts["bytes"])
    what = f"system and packages of a qcow2 with {kind}, in the sandbox"
    wall, size = statistics.median(walls), statistics.median(sizes)
    return [
        Row(what, wall, PACKAGES_SECONDS, "the bound", "s", max_ratio=1.0, samples={"ours": walls}),
        Row(f"{what}: read", size / MiB, PACKAGES_BYTES[kind] / MiB, "the bound", "MiB", max_ratio=1.0, timed=False),
    ]


def _walk(settings: Settings, tree: guest_disks.Tree, kind: str, image: Path) -> Row:
    samples = in_turn(settings.times(5), {kind: lambda: _read("walk", image).cpu})
    ours = medians(samples)[kind]
    what = f"walk and stat of {tree.files} files, {kind}, whole process"
    return Row(what, ours, WALK_SECONDS, "the bound", "CPU s", max_ratio=1.0, samples=samples)


def _digests(settings: Settings, tree: guest_disks.Tree, image: Path) -> Row:
    tar = tree.tar(settings.directory / "tree.tar")
    listing = [sys.executable, "-m", "douane_guest", str(image), "ls", "--recursive", "--digest", "--json"]
    runs = {"ours": partial(_cpu, listing), "sha256sum": partial(_cpu, ["sha256sum", str(tar)])}
    samples = in_turn(settings.times(5), runs)
    middle = medians(samples)
    return Row(
        f"sha256 of all files of {tree.bytes // MiB} MiB, ext4",
        middle["ours"],
        middle["sha256sum"],
        "sha256sum of a tar of them",
        "CPU s",
        max_ratio=DIGESTS_RATIO,
        note="" if settings.quick else _libguestfs(image),
        samples=samples,
    )


def _libguestfs(image: Path) -> str:
    """What libguestfs takes for the same. Once: without KVM it takes minutes, and it is no bound."""
    words = ["guestfish", "--ro", "-a", str(image), "-m", "/dev/sda1", "checksums-out", "sha256", "/", os.devnull]
    if shutil.which(words[0]) is None:
        return "libguestfs is not installed"
    problem = ""
    for accelerator, settings in (("KVM", ""), ("no KVM", "force_tcg")):
        progress(f"  guestfish with {accelerator}, at most {GUESTFISH_SECONDS} s")
        environment = os.environ | {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": settings}
        try:
            return (
                f"guestfish checksums-out with {accelerator}: {_cpu(words, GUESTFISH_SECONDS, environment):.0f} CPU s"
            )
        except subprocess.TimeoutExpired:
            problem = f"guestfish checksums-out was stopped after {GUESTFISH_SECONDS} s"
        except subprocess.CalledProcessError as error:  # a KVM inside of a virtual machine may lack what qemu needs
            problem = f"guestfish ended with {error.returncode}"
    return problem


def _cpu(words: Sequence[str], timeout: float | None = None, environment: Mapping[str, str] | None = None) -> float:
    """Seconds of a processor that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=timeout, env=environment
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _further(settings: Settings, tree: guest_disks.Tree, image: Path) -> Row:
    """What each inspector of files costs after the first one: of the whole command."""
    plans = {}
    for count in (1, FURTHER):
        plan = driving.write_plan(settings.directory / f"files-{count}.toml", ["TouchFiles"] * count, [])
        plans[str(count)] = partial(_cpu, driving.command("check", image, plan, tier=settings.tier))
    samples = in_turn(settings.times(5), plans)
    middle = medians(samples)
    cost = (middle[str(FURTHER)] - middle["1"]) / (FURTHER - 1) / (tree.bytes / 1e9)
    what = "each further inspector of files, for a GB of files"
    return Row(what, cost, FURTHER_SECONDS, "the bound", "CPU s", max_ratio=1.0, samples=samples)


def _memory(settings: Settings, images: dict[str, Path]) -> list[Row]:
    """The most memory of a reader, also for a folder of very many files."""
    count = settings.size(ENTRIES, ENTRIES_QUICK)
    readings = {}
    for name, path in images.items():
        progress(f"  memory: {name}")
        readings[name] = _read("digests", path)
    progress(f"  a folder tree of {count} files")
    readings[f"{count} empty files, walk"] = _read("walk", guest_disks.many_entries(settings.directory, count))
    return [
        Row(f"memory: {name}", reading.memory / MiB, MEMORY / MiB, "the bound", "MiB", max_ratio=1.0, timed=False)
        for name, reading in readings.items()
    ]
